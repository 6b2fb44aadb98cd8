import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import { nameOfMessage } from '../../src/contract/message-name.js';
import {
  BridgeQueue,
  type BridgeQueueLimits,
  type QueuedMessage,
  type SeenEntry,
} from '../../src/ingest/bridge-queue.js';

const PATIENT: BridgeQueueLimits = { maxItems: Infinity, maxSize: Infinity, heardForMs: Infinity, seenForMs: Infinity };

/** Messages with the same text are equal. */
function message(text: string): FeedMessage {
  return { event: 'new_signal', json: text };
}

function texts(batch: readonly { readonly message: FeedMessage }[]): string[] {
  return batch.map(({ message: { json } }) => json);
}

let ids = 0;
const newId = (): string => `b${++ids}`;

/** The entry that an append of this item makes. */
function entryOf({ id, message: { event, json } }: QueuedMessage): SeenEntry {
  return { id, event, json };
}

/** The entry that another pod makes of a message with this text. */
function foreign(text: string): SeenEntry {
  return { id: newId(), event: 'new_signal', json: text };
}

/** What is left of the entry that another pod made of a message with this text. */
function left(text: string): SeenEntry {
  return { id: newId(), event: 'new_signal', json: '', name: nameOfMessage('new_signal', text) };
}

/** A pod as the queue knows it: how far it has heard and seen, and the batch that it waits for an answer to. */
interface SimulatedPod {
  readonly queue: BridgeQueue;
  heard: number;
  seen: number;
  batch: { readonly messages: readonly QueuedMessage[]; executed: boolean } | undefined;
}

/**
 * Pods, Pub/Sub, and a journal that takes appends of the holder of the lease alone. Each pod hears all messages in
 * the order published and sees all entries in their order, each of the two as late as it likes.
 */
class World {
  readonly published: FeedMessage[] = [];
  readonly journal: SeenEntry[] = [];
  /** Indexes of entries that are deleted: who sees them from now on sees what is left of them. */
  readonly deleted = new Set<number>();
  readonly pods: SimulatedPod[];
  #holder = 0;

  constructor(pods: number) {
    this.pods = Array.from({ length: pods }, () => ({
      queue: new BridgeQueue(newId, PATIENT),
      heard: 0,
      seen: 0,
      batch: undefined,
    }));
  }

  get holder(): SimulatedPod {
    return this.pod(this.#holder);
  }

  pod(index: number): SimulatedPod {
    const pod = this.pods[index % this.pods.length];
    if (pod === undefined) throw new Error('there are no pods');
    return pod;
  }

  publish(text: string): void {
    this.published.push(message(text));
  }

  hear(pod: SimulatedPod, count: number): void {
    for (const one of this.published.slice(pod.heard, pod.heard + count)) {
      pod.queue.heard(one, 0);
      pod.heard++;
    }
  }

  see(pod: SimulatedPod, count: number): void {
    for (const one of this.journal.slice(pod.seen, pod.seen + count)) {
      pod.queue.seen(this.deleted.has(pod.seen) ? { ...left(one.json), id: one.id } : one, 0);
      pod.seen++;
    }
  }

  /** Deletes the newest entry but a few. */
  delete(back: number): void {
    this.deleted.add(this.journal.length - 1 - back);
  }

  /** The holder sends what waits; one batch at a time. */
  send(limit: number): void {
    const { holder } = this;
    if (holder.batch !== undefined || holder.queue.length === 0) return;
    holder.batch = { messages: holder.queue.first(limit), executed: false };
  }

  /** Redis carries the holder's batch out; sending it again makes no difference. */
  execute(): void {
    const { batch } = this.holder;
    if (batch === undefined || batch.executed) return;
    batch.executed = true;
    this.journal.push(...batch.messages.map(entryOf));
  }

  /** The answer arrives, perhaps when the pod is no longer the holder. */
  confirm(pod: SimulatedPod): void {
    if (pod.batch?.executed !== true) return;
    pod.queue.appended(pod.batch.messages);
    pod.batch = undefined;
  }

  /** The answer never arrives, and the pod no longer asks since it is no longer the holder. */
  forget(pod: SimulatedPod): void {
    if (pod !== this.holder && pod.batch?.executed === true) pod.batch = undefined;
  }

  /** Another pod takes the lease and reads the journal to its end; what the former one has under way is refused. */
  takeOver(index: number): void {
    const former = this.holder;
    this.#holder = index;
    if (former.batch?.executed === false) former.batch = undefined;
    this.see(this.holder, Infinity);
  }

  /** Everything that is under way arrives, and the holder appends what is left. */
  settle(): void {
    for (const pod of this.pods) this.hear(pod, Infinity);
    for (let turn = 0; turn < 1000; turn++) {
      this.send(3);
      if (this.holder.batch === undefined) break;
      this.execute();
      this.confirm(this.holder);
    }
    for (const pod of this.pods) {
      this.see(pod, Infinity);
      this.confirm(pod);
    }
  }
}

type Step =
  | { readonly kind: 'publish'; readonly text: string }
  | { readonly kind: 'hear' | 'see'; readonly pod: number; readonly count: number }
  | { readonly kind: 'send' | 'delete'; readonly count: number }
  | { readonly kind: 'execute' }
  | { readonly kind: 'confirm' | 'forget' | 'takeOver'; readonly pod: number };

const pod = fc.nat(2);
const count = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), text: fc.constantFrom('a', 'a', 'b', 'c') }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('hear' as const), pod, count }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('see' as const), pod, count }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), count }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), count: fc.nat(5) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('execute' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('confirm' as const), pod }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), pod }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('takeOver' as const), pod }) },
);

function apply(world: World, one: Step): void {
  switch (one.kind) {
    case 'publish':
      return world.publish(one.text);
    case 'hear':
      return world.hear(world.pod(one.pod), one.count);
    case 'see':
      return world.see(world.pod(one.pod), one.count);
    case 'send':
      return world.send(one.count);
    case 'delete':
      return world.delete(one.count);
    case 'execute':
      return world.execute();
    case 'confirm':
      return world.confirm(world.pod(one.pod));
    case 'forget':
      return world.forget(world.pod(one.pod));
    case 'takeOver':
      return world.takeOver(one.pod);
  }
}

describe('three pods whose queues hear and see at their own pace, with the lease going from one to another', () => {
  const worlds = fc.array(step, { maxLength: 120 });

  test('put every message into the journal once, in the order published, and have nothing left', () => {
    fc.assert(
      fc.property(worlds, (steps) => {
        const world = new World(3);
        const order = (): string => world.published.map(({ json }) => json).join('');
        for (const one of steps) {
          apply(world, one);
          const written = world.journal.map(({ json }) => json).join('');
          expect(order().slice(0, written.length)).toBe(written);
        }
        world.settle();
        expect(world.journal.map(({ json }) => json).join('')).toBe(order());
        expect(world.pods.map(({ queue }) => queue.length)).toEqual([0, 0, 0]);
      }),
      { numRuns: 5000 },
    );
  });

  test('take none of what was for what comes later, though it is equal', () => {
    fc.assert(
      fc.property(worlds, (steps) => {
        const world = new World(3);
        for (const one of steps) apply(world, one);
        world.settle();
        for (const text of ['a', 'b', 'c', 'a']) world.publish(text);
        for (const one of world.pods) world.hear(one, Infinity);
        expect(world.pods.map(({ queue }) => texts(queue.first(9)).join(''))).toEqual(['abca', 'abca', 'abca']);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an entry', () => {
  test('takes the first of two equal messages away, not both', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'b', 'a']) queue.heard(message(text), 0);
    queue.seen(foreign('a'), 0);
    expect(texts(queue.first(9))).toEqual(['b', 'a']);
  });

  test('that is seen before its message is heard takes that message away, and no second one', () => {
    const queue = new BridgeQueue(newId);
    queue.seen(foreign('a'), 0);
    for (const text of ['b', 'a', 'a']) queue.heard(message(text), 0);
    expect(texts(queue.first(9))).toEqual(['b', 'a']);
  });

  test('seen twice before either message is heard takes both away', () => {
    const queue = new BridgeQueue(newId);
    queue.seen(foreign('a'), 0);
    queue.seen(foreign('a'), 0);
    for (const text of ['a', 'a', 'a']) queue.heard(message(text), 0);
    expect(queue.length).toBe(1);
  });

  test('does not take away a message with the same text of another event', () => {
    const queue = new BridgeQueue(newId);
    queue.heard({ event: 'status_update', json: 'a' }, 0);
    queue.seen(foreign('a'), 0);
    expect(queue.length).toBe(1);
  });

  test('of its own append takes just that message away, whatever equal ones wait', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'a']) queue.heard(message(text), 0);
    const [first, second] = queue.first(2);
    if (first === undefined || second === undefined) throw new Error('unreachable');
    queue.seen(entryOf(second), 0);
    expect(queue.first(9)).toEqual([first]);
  });
});

describe('an entry that was deleted before this pod read it', () => {
  test('takes its message away, and no other', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'b', 'b']) queue.heard(message(text), 0);
    queue.seen(left('b'), 1);
    expect(texts(queue.first(9))).toEqual(['a', 'b']);
    queue.seen(left('c'), 1);
    expect(texts(queue.first(9))).toEqual(['a', 'b']);
  });

  test('takes away one message that is heard later, and none if it is heard too late', () => {
    const queue = new BridgeQueue(newId, { seenForMs: 10_000 });
    queue.seen(left('a'), 0);
    queue.seen(foreign('b'), 0);
    for (const text of ['c', 'a', 'a', 'b']) queue.heard(message(text), 1);
    expect(texts(queue.first(9))).toEqual(['c', 'a']);
    queue.seen(left('d'), 2);
    queue.expire(20_000);
    queue.heard(message('d'), 20_001);
    expect(texts(queue.first(9))).toEqual(['c', 'a', 'd']);
  });

  test('of its own append takes just that message away', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'a']) queue.heard(message(text), 0);
    const [, second] = queue.first(9);
    queue.seen({ ...left('a'), id: second?.id ?? '' }, 1);
    expect(queue.first(9)).toHaveLength(1);
    expect(queue.first(9)[0]?.id).not.toBe(second?.id);
  });
});

/** A message that counts how often its text is read. */
function counted(text: string): { readonly message: FeedMessage; readonly reads: () => number } {
  let reads = 0;
  const one: FeedMessage = {
    event: 'new_signal',
    get json() {
      reads++;
      return text;
    },
  };
  return { message: one, reads: () => reads };
}

/** How often the text is read of a message that is heard while nothing is deleted. */
function usual(): number {
  const { message: one, reads } = counted('a');
  new BridgeQueue(newId).heard(one, 0);
  return reads();
}

describe('the text of a message', () => {
  test('is not looked at where a deleted entry is found by its id', () => {
    const queue = new BridgeQueue(newId);
    const all = ['a', 'b', 'c'].map(counted);
    for (const one of all) queue.heard(one.message, 0);
    const before = all.map(({ reads }) => reads());
    queue.seen({ ...left('c'), id: queue.first(9)[2]?.id ?? '' }, 1);
    expect(queue.length).toBe(2);
    expect(all.map(({ reads }) => reads())).toEqual(before);
  });

  test('is checked once, however many deleted entries arrive while it waits', () => {
    const queue = new BridgeQueue(newId);
    const all = ['a', 'b', 'c', 'd'].map(counted);
    for (const one of all.slice(0, 3)) queue.heard(one.message, 0);
    queue.seen(left('x'), 1);
    const before = all.map(({ reads }) => reads());
    for (const text of ['y', 'z', 'b']) queue.seen(left(text), 2);
    expect(all.map(({ reads }) => reads())).toEqual(before);
    for (const text of ['x', 'y', 'z']) queue.heard(message(text), 3);
    const [, , , last] = all;
    if (last !== undefined) queue.heard(last.message, 4);
    queue.seen(left('d'), 5);
    queue.seen(left('a'), 6);
    expect(all.slice(0, 3).map(({ reads }) => reads())).toEqual(before.slice(0, 3));
    expect(queue.first(9).map((one) => one.message)).toEqual([all[2]?.message]);
  });

  test('is named no longer when the deleted entries that waited for theirs have them, or are too old', () => {
    const queue = new BridgeQueue(newId);
    queue.seen(left('a'), 0);
    queue.seen(left('b'), 0);
    queue.seen(foreign('c'), 5);
    queue.heard(message('a'), 1);
    queue.forgetSeen(4);
    const one = counted('d');
    queue.heard(one.message, 6);
    expect(one.reads()).toBe(usual());
  });
});

describe('a confirmation', () => {
  test('after the entries were seen changes nothing, and takes no later equal message away', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'b']) queue.heard(message(text), 0);
    const batch = queue.first(9);
    for (const one of batch) queue.seen(entryOf(one), 0);
    queue.heard(message('a'), 0);
    queue.appended(batch);
    expect(texts(queue.first(9))).toEqual(['a']);
    queue.heard(message('b'), 0);
    expect(texts(queue.first(9))).toEqual(['a', 'b']);
  });

  test('before the entries are seen empties the queue, and the entries take no later equal message away', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'b']) queue.heard(message(text), 0);
    const batch = queue.first(9);
    queue.appended(batch);
    expect(queue.length).toBe(0);
    for (const text of ['a', 'b']) queue.heard(message(text), 0);
    for (const one of batch) queue.seen(entryOf(one), 0);
    expect(texts(queue.first(9))).toEqual(['a', 'b']);
  });

  test('between two of its entries leaves nothing behind', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'a']) queue.heard(message(text), 0);
    const batch = queue.first(9);
    const [first, second] = batch.map(entryOf);
    if (first === undefined || second === undefined) throw new Error('unreachable');
    queue.seen(first, 0);
    queue.appended(batch);
    queue.seen(second, 0);
    queue.heard(message('a'), 0);
    expect(queue.length).toBe(1);
  });
});

describe('a batch in doubt', () => {
  test('stays first in line until it is known what happened to it', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'b']) queue.heard(message(text), 0);
    const batch = queue.first(2);
    queue.heard(message('c'), 0);
    expect(queue.first(2)).toEqual(batch);
    queue.appended(batch);
    expect(texts(queue.first(9))).toEqual(['c']);
  });

  test('that was carried out, is seen, and is confirmed only when it is sent again leaves equal ones alone', () => {
    const queue = new BridgeQueue(newId);
    queue.heard(message('a'), 0);
    const batch = queue.first(9);
    queue.heard(message('a'), 0);
    for (const one of batch) queue.seen(entryOf(one), 0);
    queue.appended(batch);
    queue.appended(batch);
    expect(texts(queue.first(9))).toEqual(['a']);
  });

  test('that was refused is left to the next holder, whose entries take it away', () => {
    const queue = new BridgeQueue(newId);
    for (const text of ['a', 'b', 'a']) queue.heard(message(text), 0);
    queue.first(2);
    for (const text of ['a', 'b']) queue.seen(foreign(text), 0);
    expect(texts(queue.first(9))).toEqual(['a']);
    queue.seen(foreign('a'), 0);
    expect(queue.length).toBe(0);
  });
});

describe('a pod that forgets what it had heard', () => {
  test('still knows the entries of its own appends, so that they take no later equal message away', () => {
    const queue = new BridgeQueue(newId);
    queue.heard(message('a'), 0);
    const batch = queue.first(9);
    queue.appended(batch);
    queue.heard(message('b'), 0);
    queue.forgetHeard();
    expect(queue.length).toBe(0);
    for (const one of batch) queue.seen(entryOf(one), 0);
    queue.heard(message('a'), 0);
    expect(texts(queue.first(9))).toEqual(['a']);
  });
});

describe('what is too old', () => {
  test('is given up and counted: a message that nobody has appended', () => {
    const queue = new BridgeQueue(newId, { heardForMs: 100 });
    queue.heard(message('a'), 0);
    queue.heard(message('b'), 50);
    expect(queue.expire(100)).toBe(0);
    expect(queue.expire(101)).toBe(1);
    expect(texts(queue.first(9))).toEqual(['b']);
    expect(queue.expire(1000)).toBe(1);
    expect(queue.length).toBe(0);
  });

  test('no longer waits once it is given up, is counted once, and is still recognised when it comes out of the journal', () => {
    const queue = new BridgeQueue(newId, { heardForMs: 100 });
    queue.heard(message('a'), 0);
    queue.heard(message('b'), 50);
    expect([queue.giveUp(100), queue.giveUp(101), queue.giveUp(102)]).toEqual([0, 1, 0]);
    expect([queue.length, queue.waitingSinceMs]).toEqual([1, 50]);
    expect(queue.isLeftOut(102, 60, 60)).toBe(false);
    expect(queue.heardBefore(1000)).toHaveLength(1);
    queue.seen(foreign('a'), 103);
    queue.heard(message('a'), 104);
    expect(texts(queue.first(9, 104))).toEqual(['b', 'a']);
    expect(queue.length).toBe(2);
    expect([queue.giveUp(1000), queue.expire(1000), queue.length]).toEqual([2, 0, 0]);
  });

  test('is forgotten: an entry whose message was published before this pod listened', () => {
    const queue = new BridgeQueue(newId, { seenForMs: 100 });
    queue.seen(foreign('a'), 0);
    queue.seen(foreign('a'), 50);
    queue.expire(101);
    for (const text of ['a', 'a']) queue.heard(message(text), 101);
    expect(texts(queue.first(9))).toEqual(['a']);
  });

  test('is forgotten at once: entries of messages that a new subscription can no longer hear', () => {
    const queue = new BridgeQueue(newId);
    queue.seen(foreign('a'), 0);
    queue.seen(foreign('b'), 2);
    queue.forgetSeen(1);
    for (const text of ['a', 'b']) queue.heard(message(text), 2);
    expect(texts(queue.first(9))).toEqual(['a']);
  });

  test('does not keep an entry from being matched that came in time', () => {
    const queue = new BridgeQueue(newId, { heardForMs: 100, seenForMs: 100 });
    queue.heard(message('a'), 0);
    queue.seen(foreign('a'), 99);
    expect(queue.expire(1000)).toBe(0);
    expect(queue.length).toBe(0);
  });
});

describe('a queue that is full', () => {
  test('gives the oldest messages up and says how many', () => {
    const queue = new BridgeQueue(newId, { maxItems: 2 });
    expect(['a', 'b', 'c', 'd'].map((text) => queue.heard(message(text), 0))).toEqual([0, 0, 1, 1]);
    expect(texts(queue.first(9))).toEqual(['c', 'd']);
  });

  test('is measured in characters too, and always has room for one message', () => {
    const queue = new BridgeQueue(newId, { maxSize: 10 });
    expect(queue.heard(message('x'.repeat(50)), 0)).toBe(0);
    expect(queue.heard(message('12345'), 0)).toBe(1);
    expect(queue.heard(message('67890'), 0)).toBe(0);
    expect(queue.heard(message('!'), 0)).toBe(1);
    expect(texts(queue.first(9))).toEqual(['67890', '!']);
  });

  test('has room again for what was seen or confirmed', () => {
    const queue = new BridgeQueue(newId, { maxSize: 4 });
    for (const text of ['aa', 'bb']) queue.heard(message(text), 0);
    queue.seen(foreign('aa'), 0);
    queue.appended(queue.first(1));
    expect(['cc', 'dd'].map((text) => queue.heard(message(text), 0))).toEqual([0, 0]);
  });
});
