import { EventEmitter, once } from 'node:events';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import type { BridgeLease, BridgeLeaseAnswer } from '../../src/ingest/bridge-lease.js';
import { Bridge, type BridgeOptions, type BridgedJournal } from '../../src/ingest/bridge.js';
import type { QueuedMessage } from '../../src/ingest/bridge-queue.js';
import { until } from '../support/until.js';

/** Messages with the same text are equal. */
function message(text: string): FeedMessage {
  return { event: 'status_update', json: text };
}

/** The entry that another pod's bridge made of a message with this text. */
function foreign(text: string): { id: string; event: string; json: string } {
  return { id: `b-of-another-${text}`, event: 'status_update', json: text };
}

/** A bridge with a Redis made up around it: who holds the lease is the test's to say. */
class World {
  answer: BridgeLeaseAnswer = 'other';
  /** Whether canaries come back. */
  hears = true;
  readonly appended: string[] = [];
  /** For each time that the lease was given back, whether it was said that nothing is left to append. */
  readonly released: boolean[] = [];
  renewals = 0;
  canaries = 0;
  /** `lease` is told when the lease is asked for; it is answered once `answer` is. */
  readonly events = new EventEmitter();
  isSlow = false;
  /** What Redis says to requests for the lease. */
  refusal: Error | undefined;
  readonly bridge: Bridge;
  #ids = 0;

  constructor(options: Partial<BridgeOptions> = {}) {
    const lease: BridgeLease = {
      ask: async () => {
        const { answer } = this;
        if (answer === 'acquired' || answer === 'handed-over') this.answer = 'held';
        this.events.emit('lease');
        if (this.refusal !== undefined) throw this.refusal;
        if (this.isSlow) await once(this.events, 'answer');
        return answer;
      },
      release: (_token, isClean) => {
        this.released.push(isClean);
        return Promise.resolve();
      },
    };
    const journal: BridgedJournal = {
      appendFenced: (messages: readonly QueuedMessage[]) => {
        for (const { id, message: one } of messages) {
          this.appended.push(one.json);
          this.bridge.seen({ id, event: one.event, json: one.json });
        }
        return Promise.resolve('appended' as const);
      },
      lag: () => 0,
      caughtUp: () => Promise.resolve(),
    };
    this.bridge = new Bridge({
      journal,
      lease,
      newId: () => `b${++this.#ids}`,
      publishCanary: (text) => {
        this.canaries++;
        if (this.hears) setImmediate(() => this.bridge.heardCanary(text));
        return Promise.resolve(1);
      },
      publishObjection: () => Promise.resolve(),
      spreadMs: 0,
      renewSubscription: () => {
        this.renewals++;
      },
      onAppended: () => {},
      onDropped: () => {},
      log: pino({ level: 'silent' }),
      ...options,
    });
    this.bridge.start();
  }

  /** Has the subscription made and compared with the journal. */
  async link(): Promise<void> {
    const before = this.canaries;
    this.bridge.resubscribed();
    this.bridge.setLink(true);
    await until('a canary', () => this.canaries > before);
    await new Promise(setImmediate);
  }

  /** Has the lease given to the bridge, which then waits in vain for its canary. */
  async beginToTakeOver(answer: 'acquired' | 'handed-over'): Promise<void> {
    this.hears = false;
    this.answer = answer;
    const before = this.canaries;
    await until('its canary', () => this.canaries > before);
  }

  async hold(): Promise<void> {
    this.answer = 'acquired';
    await until('the bridge to hold the lease', () => this.bridge.holding);
  }
}

const worlds: World[] = [];
afterEach(async () => {
  for (const { bridge } of worlds.splice(0)) await bridge.stop();
});

function world(options?: Partial<BridgeOptions>): World {
  const made = new World(options);
  worlds.push(made);
  return made;
}

test('an entry whose message was published before this pod was subscribed takes no later equal message away', async () => {
  const all = world();
  const { bridge } = all;
  bridge.seen(foreign('alive'));
  await all.link();
  for (let turn = 0; turn < 3; turn++) {
    bridge.heard(message('alive'));
    expect(bridge.waiting).toBe(1);
    bridge.seen(foreign('alive'));
    expect(bridge.waiting).toBe(0);
  }
});

test('an entry that is seen before its message is heard still removes that message, once the subscription is active', async () => {
  const all = world();
  const { bridge } = all;
  await all.link();
  bridge.seen(foreign('alive'));
  bridge.heard(message('alive'));
  expect(bridge.waiting).toBe(0);
});

test('whoever takes the lease over appends the next message, though an equal one of before was never heard', async () => {
  const all = world();
  const { bridge } = all;
  await all.link();
  bridge.seen(foreign('alive'));
  await all.hold();
  bridge.heard(message('alive'));
  await until('the append', () => all.appended.length > 0);
  expect(all.appended).toEqual(['alive']);
});

test('on a cluster the holder forgets such an entry too, when its message can no longer be on the way', async () => {
  const all = world({ spreadMs: 100 });
  const { bridge } = all;
  await all.link();
  await all.hold();
  bridge.seen(foreign('alive'));
  const canaries = all.canaries;
  await until('canaries', () => all.canaries > canaries + 2);
  bridge.heard(message('alive'));
  await until('the append', () => all.appended.length > 0);
  expect(all.appended).toEqual(['alive']);
});

test('a pod that was not given some entries while it holds the lease still appends what waits', async () => {
  const all = world();
  const { bridge } = all;
  await all.link();
  await all.hold();
  bridge.heard(message('a'));
  bridge.skipped();
  await until('the append', () => all.appended.length > 0);
  expect(all.appended).toEqual(['a']);
});

test('a pod that was not given some entries and does not hold the lease appends none of what it had heard', async () => {
  const all = world();
  const { bridge } = all;
  await all.link();
  bridge.heard(message('a'));
  bridge.skipped();
  await all.hold();
  bridge.heard(message('b'));
  await until('the append', () => all.appended.length > 0);
  expect(all.appended).toEqual(['b']);
});

test('a lease that is given while the link is lost, and found again, is given back: what was published meanwhile was not heard', async () => {
  const all = world();
  const { bridge } = all;
  all.answer = 'acquired';
  all.isSlow = true;
  const asked = once(all.events, 'lease');
  bridge.setLink(true);
  await asked;
  bridge.setLink(false);
  bridge.setLink(true);
  all.answer = 'other';
  all.isSlow = false;
  all.events.emit('answer');
  await until('the lease to be given back', () => all.released.length > 0);
  expect(bridge.holding).toBe(false);
});

test('a holder that cannot keep the lease for as long as it lasts no longer believes in it, says why, and takes it again with another token', async () => {
  const lines: { msg: string; reason: string }[] = [];
  const faults: (string | undefined)[] = [];
  const all = world({
    log: pino({ level: 'warn' }, { write: (text: string) => lines.push(JSON.parse(text) as (typeof lines)[number]) }),
    onLease: (error) => faults.push(error === undefined ? undefined : (error as Error).message),
  });
  const { bridge } = all;
  await all.link();
  await all.hold();
  all.refusal = new Error('NOREPLICAS Not enough good replicas to write.');
  await until('the lease to be dropped', () => !bridge.holding);
  expect(lines.at(-1)).toMatchObject({
    msg: 'this pod no longer bridges',
    reason: 'the lease could not be kept: NOREPLICAS Not enough good replicas to write.',
  });
  await until('the fault to be reported', () => String(faults.at(-1)).includes('NOREPLICAS'));
  all.refusal = undefined;
  await all.hold();
  expect(faults.at(-1)).toBeUndefined();
});

test('an answer that keeps a lease which was dropped meanwhile gives it back', async () => {
  const all = world();
  const { bridge } = all;
  await all.link();
  await all.hold();
  all.isSlow = true;
  await once(all.events, 'lease');
  await until('the lease to be dropped', () => !bridge.holding);
  all.isSlow = false;
  all.answer = 'other';
  all.events.emit('answer');
  await until('the lease to be given back', () => all.released.length > 0);
  expect([bridge.holding, all.released]).toEqual([false, [false]]);
});

test('a pod whose subscription does not hear takes no lease over, and subscribes again', async () => {
  const all = world();
  const { bridge } = all;
  await all.link();
  all.hears = false;
  all.answer = 'acquired';
  await until('the subscription to be made anew', () => all.renewals > 0);
  await until('the lease to be given back', () => all.released.length > 0);
  expect(bridge.holding).toBe(false);
});

test('a pod that is stopped before it may append says nothing of what a dead holder left; one that bridged does', async () => {
  const asking = world();
  await asking.link();
  await asking.beginToTakeOver('acquired');
  await asking.bridge.stop();
  expect(asking.released).toEqual([false]);

  const bridging = world();
  await bridging.link();
  await bridging.hold();
  await bridging.bridge.stop();
  expect(bridging.released).toEqual([true]);

  const handed = world();
  await handed.link();
  await handed.beginToTakeOver('handed-over');
  await handed.bridge.stop();
  expect(handed.released).toEqual([true]);
});
