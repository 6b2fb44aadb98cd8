import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import { BridgeQueue } from '../../src/ingest/bridge-queue.js';
import { Precedence } from '../../src/ingest/precedence.js';
import { until } from '../support/until.js';

const PATIENCE_MS = 50;
/** More than a pod leaves the bridge to another. */
const LONG_MS = 4000;

function message(text: string): FeedMessage {
  return { event: 'status_update', json: text };
}

/** What pods call a message when they speak of it. */
function named(text: string): string {
  const queue = new BridgeQueue(() => 'b1');
  queue.heard(message(text), 0);
  return queue.heardBefore(1)[0] ?? '';
}

/** What a pod says on the channel of the canaries, and what its queue holds. Tests say what time it is. */
class World {
  readonly said: string[] = [];
  hearers: number | undefined = 3;
  failures = 0;
  readonly queue = new BridgeQueue(() => `b${++this.#ids}`);
  readonly pod = new Precedence({
    queue: this.queue,
    ask: (text) => {
      this.said.push(text);
      return Promise.resolve(this.hearers);
    },
    object: (text) => {
      if (this.failures-- > 0) return Promise.reject(new Error('not connected'));
      this.said.push(text);
      return Promise.resolve();
    },
    patienceMs: PATIENCE_MS,
    log: pino({ level: 'silent' }),
  });
  #ids = 0;

  constructor({ age, waiting = [] }: { age: number; waiting?: readonly (readonly [text: string, ago: number])[] }) {
    const now = performance.now();
    this.pod.subscribed(now - age);
    for (const [text, ago] of waiting) this.queue.heard(message(text), now - ago);
  }

  /** Has the pod ask whether it may append, and others object. */
  async asks(objection?: readonly string[]): Promise<boolean> {
    const answer = this.pod.mayAppend();
    const mark = /^question!([\w-]+)!/.exec(this.said.at(-1) ?? '')?.[1];
    if (objection !== undefined) this.pod.heard(`objection!${mark}!${JSON.stringify(objection)}`, performance.now());
    return answer;
  }

  /** Tells the pod that another holds the lease, for so long. */
  held(ms: number): void {
    const now = performance.now();
    for (const at of [now - ms, now]) this.pod.answered('other', false, at);
  }
}

test('a pod asks with the age of its subscription, and goes first when no other objects', async () => {
  const all = new World({ age: 1000 });
  expect(await all.asks()).toBe(true);
  expect(all.said).toEqual([expect.stringMatching(/^question![\w-]{8}!10\d\d$/)]);
});

test('a pod that lacks what another has heard does not go first; one that has it too does', async () => {
  const waiting = [['b', 500]] as const;
  expect(await new World({ age: 1000, waiting }).asks([named('a'), named('b')])).toBe(false);
  expect(await new World({ age: 1000, waiting }).asks([named('b')])).toBe(true);
});

test('a pod that has seen the lease held since it subscribed, or that nobody else hears, waits for no objection', async () => {
  const seasoned = new World({ age: 5000, waiting: [['b', 3000]] });
  seasoned.held(4500);
  expect(await seasoned.asks()).toBe(true);
  expect(seasoned.said).toEqual([]);

  const alone = new World({ age: 1000 });
  alone.hearers = 1;
  const begin = performance.now();
  expect(await alone.asks()).toBe(true);
  expect(performance.now() - begin).toBeLessThan(PATIENCE_MS);
});

test('a pod asks where the lease was held, but what waits was not appended', async () => {
  const all = new World({ age: 9000, waiting: [['b', 8000]] });
  all.held(8500);
  expect(await all.asks([named('a')])).toBe(false);
});

test('a pod objects where it has heard what waits before the other subscribed, and names the oldest of it', async () => {
  const { pod, said } = new World({ age: 60_000, waiting: [300, 200, 150, 100].map((ago) => [`at ${ago}`, ago]) });
  const now = performance.now();
  pod.heard('question!mark1!1000', now);
  expect(said).toEqual([]);
  pod.heard('question!mark2!125', now);
  await until('the objection', () => said.length > 0);
  expect(said).toEqual([`objection!mark2!${JSON.stringify(['at 300', 'at 200', 'at 150'].map(named))}`]);
});

test('a pod that objects may take the lease, and one that is not connected tries again', async () => {
  const all = new World({ age: 1000, waiting: [['a', 800]] });
  all.failures = 1;
  const now = performance.now();
  expect(all.pod.mayTakeOver(now)).toBe(false);
  all.pod.heard('question!mark!500', now);
  expect(all.pod.mayTakeOver(now)).toBe(true);
  await until('the objection', () => all.said.length > 0);
});

test('of those that wait for the lease, whoever lacks what an objection names leaves it to the others for a while', () => {
  const now = performance.now();
  const objection = `objection!mark!["${named('a')}"]`;
  const lacking = new World({ age: 1000, waiting: [['b', 500]] });
  const having = new World({ age: 1000, waiting: [['a', 500]] });
  const seasoned = new World({ age: 9000 });
  seasoned.held(8000);
  for (const { pod } of [lacking, having, seasoned]) pod.heard(objection, now);
  expect([lacking, having, seasoned].map(({ pod }) => pod.standsBack(now + 100))).toEqual([true, false, false]);
  expect(lacking.pod.standsBack(now + LONG_MS)).toBe(false);
});

test('a pod does not give way to its own objection, though what that names has come out of the journal', async () => {
  const { pod, said, queue } = new World({ age: 1000, waiting: [['a', 800]] });
  const now = performance.now();
  pod.heard('question!mark!500', now);
  await until('the objection', () => said.length > 0);
  queue.seen({ id: 'of-another', event: 'status_update', json: 'a' }, now);
  pod.heard(said[0] ?? '', now);
  expect(pod.standsBack(now)).toBe(false);
});

test('a pod that objects and does not take the lease blocks nobody for long', async () => {
  const now = performance.now();
  const objector = new World({ age: 60_000, waiting: [['a', 10_000]] });
  objector.pod.heard('question!mark1!5000', now);
  objector.pod.heard('question!mark2!5000', now + LONG_MS);
  await until('the objection', () => objector.said.length > 0);
  expect(objector.said).toEqual([`objection!mark1!["${named('a')}"]`]);

  const other = new World({ age: 1000 });
  expect(await other.asks([named('a')])).toBe(false);
  expect(other.pod.standsBack(performance.now())).toBe(true);
  expect(await other.asks([named('a')])).toBe(true);
  expect(other.said).toHaveLength(1);
});

test('once a pod has held the lease for a while, everything starts from the beginning', async () => {
  const all = new World({ age: 60_000, waiting: [['a', 10_000]] });
  const now = performance.now();
  all.pod.heard('question!mark1!5000', now);
  all.pod.heard('question!mark2!5000', now + LONG_MS);
  for (const at of [now, now + 5000]) all.pod.answered('other', false, at);
  all.pod.heard('question!mark3!5000', now + 6000);
  await until('the objections', () => all.said.length > 1);
  expect(all.said.map((text) => text.split('!')[1])).toEqual(['mark1', 'mark3']);
});

test('a message that another has heard twice is lacking where it was heard once', async () => {
  const waiting = [['a', 500]] as const;
  expect(await new World({ age: 1000, waiting }).asks([named('a'), named('b'), named('a')])).toBe(false);
  expect(await new World({ age: 1000, waiting }).asks([named('a')])).toBe(true);
});

test('a message has a short name, however long it is, and no more than a hundred are named', () => {
  const { queue } = new World({ age: 1000 });
  for (let i = 0; i < 150; i++) queue.heard(message(`${i}${'x'.repeat(10_000)}`), i);
  const names = queue.heardBefore(1000);
  expect(new Set(names).size).toBe(100);
  expect(Math.max(...names.map((name) => name.length))).toBeLessThan(30);
  expect(queue.waits(names)).toBe(true);
  expect(queue.waits([...names, named('other')])).toBe(false);
});

test('a pod is not sure because it holds the lease itself, before it appends, nor for time in which it did not look', async () => {
  const now = performance.now();
  const own = new World({ age: 9000 });
  for (const at of [now - 5000, now]) own.pod.answered('held', false, at);
  expect(await own.asks([named('a')])).toBe(false);

  const back = new World({ age: 9000 });
  back.pod.answered('other', false, now - 6000);
  back.pod.heard(`objection!mark!["${named('a')}"]`, now - 5000);
  expect(back.pod.standsBack(now - 4000)).toBe(true);
  back.pod.answered('other', false, now);
  expect(await back.asks([named('a')])).toBe(false);
});

test('a question that is asked while another is open is answered too', async () => {
  const all = new World({ age: 1000 });
  const first = all.pod.mayAppend();
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS / 2));
  const second = all.pod.mayAppend();
  expect(await first).toBe(true);
  const mark = /^question!([\w-]+)!/.exec(all.said.at(-1) ?? '')?.[1];
  all.pod.heard(`objection!${mark}!["${named('a')}"]`, performance.now());
  expect(await second).toBe(false);
});

test('a renewed subscription has to ask again', async () => {
  const all = new World({ age: 9000 });
  all.held(8000);
  all.pod.subscribed(performance.now());
  expect(await all.asks([named('a')])).toBe(false);
});

test('whatever else is said on the channel changes nothing', () => {
  const { pod, said } = new World({ age: 1000, waiting: [['a', 800]] });
  const now = performance.now();
  for (const text of [
    'released!',
    '7owQIxMj',
    'question!',
    'question!mark!soon',
    'objection!mark!',
    'objection!mark!{}',
    'objection!mark![',
  ]) {
    pod.heard(text, now);
  }
  expect(pod.standsBack(now)).toBe(false);
  expect(said).toEqual([]);
});
