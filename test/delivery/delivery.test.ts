import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type HandClient, HandDelivery } from '../support/hand-delivery.js';

const KB = 1024;

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** Has everybody read until nothing is left to do. */
function finish(delivery: HandDelivery): void {
  const total = (): number => delivery.clients.reduce((sum, client) => sum + client.received.length, 0);
  for (let before = -1; before < total();) {
    before = total();
    for (const client of delivery.clients) {
      if (client.hearsRooms()) client.read();
      else client.poll();
    }
    delivery.loop.settle();
    for (const client of delivery.clients) if (client.hearsRooms()) client.read();
    delivery.loop.settle();
  }
}

/** Publishes more than comes between two pings, in a turn of its own. */
function publish(delivery: HandDelivery): void {
  for (let i = 0; i < 8; i++) delivery.append(12 * KB);
  delivery.loop.settle();
}

/** Takes turns, and has a client read in each, until nothing is left to do. */
function flow(delivery: HandDelivery, client: HandClient): void {
  for (let turns = 0; turns < 1000 && !delivery.loop.isIdle; turns++) {
    delivery.loop.turn();
    client.read();
  }
}

describe('a batch that is larger than what a client has room for', () => {
  test('leaves in order, 256 KB a turn at most, and nobody who reads is taken for slow', () => {
    const delivery = new HandDelivery();
    const client = delivery.join();
    let before = 0;
    for (let i = 0; i < 1000; i++) delivery.append(12 * KB);
    for (let turns = 0; client.seqs.length < 1000; turns++) {
      if (turns > 1000) throw new Error(`only ${client.seqs.length} signals came`);
      delivery.loop.turn();
      client.read();
      expect(client.seqs.length - before).toBeLessThanOrEqual((256 * KB) / (12 * KB));
      expect(client.isLive).toBe(true);
      before = client.seqs.length;
    }
    expect(client.seqs).toEqual(upTo(1000));
    expect(client.mostBytes).toBeLessThanOrEqual(257 * KB);
  });

  test('fills nobody who does not read: a client is checked before more than the budget is published', () => {
    const delivery = new HandDelivery();
    const [quick, slow] = [delivery.join(), delivery.join()];
    for (let i = 0; i < 500; i++) {
      delivery.append(12 * KB);
      if (i % 7 !== 0) continue;
      delivery.loop.turn();
      quick.read();
    }
    flow(delivery, quick);
    expect(quick.seqs).toEqual(upTo(500));
    expect(slow.isLive).toBe(false);
    expect([...slow.rooms]).toEqual([]);
    // The soft mark and what was published since it was looked at before.
    expect(slow.mostBytes).toBeLessThanOrEqual(513 * KB);
    finish(delivery);
    expect(slow.seqs).toEqual(upTo(500));
    expect(slow.isLive).toBe(true);
  });

  test('keeps its place before a gap and what comes after it', () => {
    const delivery = new HandDelivery();
    const client = delivery.join();
    for (let i = 0; i < 100; i++) delivery.append(12 * KB);
    delivery.fanout.gap('expired', { epoch: 'e', seq: 100 }, { epoch: 'f', seq: 500 });
    flow(delivery, client);
    expect(client.seqs).toEqual(upTo(100));
    expect(client.received.at(-1)).toBe('2["gap",{"reason":"expired","requested":"e:100","resumed":"f:500"}]');
    expect(delivery.fanout.place).toEqual({ epoch: 'f', seq: 500 });
  });
});

describe('a client whose network takes everything', () => {
  test('is taken out of the live feed when it has not answered a ping for a second and more is published', () => {
    const delivery = new HandDelivery();
    const [quick, slow] = [delivery.join(), delivery.join({ networkBytes: 100_000 * KB })];
    for (let i = 0; i < 2; i++) {
      publish(delivery);
      quick.read();
      delivery.loop.advance(300);
    }
    expect(slow.isLive).toBe(true);
    expect(slow.bufferedBytes()).toBe(0);
    delivery.loop.advance(1000);
    publish(delivery);
    quick.read();
    expect([quick.isLive, slow.isLive]).toEqual([true, false]);

    // It gets nothing more until it has answered the ping behind what is under way.
    for (let i = 0; i < 10; i++) {
      publish(delivery);
      quick.read();
    }
    slow.read();
    expect(slow.seqs).toEqual(upTo(16));
    finish(delivery);
    for (const client of delivery.clients) {
      expect(client.seqs).toEqual(upTo(104));
      expect(client.isLive).toBe(true);
    }
  });

  test('stays live while nothing is published, however long its answer takes', () => {
    const delivery = new HandDelivery();
    const slow = delivery.join({ networkBytes: 100_000 * KB });
    for (let i = 0; i < 2; i++) {
      publish(delivery);
      delivery.loop.advance(300);
    }
    delivery.loop.advance(100_000);
    delivery.loop.settle();
    expect(slow.isLive).toBe(true);
    expect(slow.isGivenUp).toBe(false);
  });
});

test('a client is live in the turn in which it gets the last entry that it missed, and misses none after it', () => {
  const delivery = new HandDelivery();
  for (let i = 0; i < 10; i++) delivery.append(10);
  delivery.loop.settle();
  const client = delivery.join({}, { epoch: 'e', seq: 0 }, ['welcome']);
  expect(client.isLive).toBe(false);
  delivery.loop.turn();
  expect(client.isLive).toBe(true);
  delivery.append(10);
  delivery.loop.turn();
  client.read();
  expect(client.received[0]).toBe('welcome');
  expect(client.seqs).toEqual(upTo(11));
});

test('a greeting that is larger than what may be under way goes before the first entry, and only as fast as it is read', () => {
  const delivery = new HandDelivery();
  const first = Array.from({ length: 100 }, (_, i) => `2["status_update","${i}${'x'.repeat(3 * KB)}"]`);
  const client = delivery.join({}, { epoch: 'e', seq: 0 }, first);
  for (let i = 0; i < 10; i++) delivery.append(10);
  delivery.loop.settle();
  expect(client.mostBytes).toBeLessThanOrEqual(65 * KB);
  finish(delivery);
  expect(client.received.slice(0, 100)).toEqual(first);
  expect(client.seqs).toEqual(upTo(10));
});

test('a client that takes nothing for SLOW_TIMEOUT is given up; one that answered meanwhile is not', () => {
  const delivery = new HandDelivery({ slowTimeoutMs: 10_000 });
  const [stopped, slow] = [delivery.join(), delivery.join()];
  for (let i = 0; i < 200; i++) delivery.append(12 * KB);
  delivery.loop.settle();
  for (let i = 0; i < 9; i++) delivery.loop.advance(1000);
  slow.read();
  delivery.loop.settle();
  expect([stopped.isGivenUp, slow.isGivenUp]).toEqual([false, false]);
  for (let i = 0; i < 2; i++) delivery.loop.advance(1000);
  expect([stopped.isGivenUp, slow.isGivenUp]).toEqual([true, false]);
});

test('a poll that takes the only packet there is room for, in the call that sends it, is followed by the others', () => {
  const delivery = new HandDelivery({ maxBackpressureBytes: 64 * KB });
  const client = delivery.join({ transport: 'polling' });
  client.poll();
  for (let i = 0; i < 20; i++) delivery.append(15 * KB);
  for (let polls = 0; polls < 20; polls++) {
    delivery.loop.settle();
    client.poll();
  }
  expect(client.seqs).toEqual(upTo(20));
});

describe('whatever is published, read and polled', () => {
  type Step =
    | { readonly kind: 'append'; readonly bytes: number; readonly count: number }
    | { readonly kind: 'turn' }
    | { readonly kind: 'read'; readonly client: number }
    | { readonly kind: 'advance'; readonly ms: number };

  const aStep: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constant('append' as const),
      bytes: fc.oneof(fc.nat(500), fc.integer({ min: 1000, max: 16_000 })),
      count: fc.integer({ min: 1, max: 40 }),
    }),
    fc.constant({ kind: 'turn' as const }),
    fc.record({ kind: fc.constant('read' as const), client: fc.nat(5) }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(1500) }),
  );

  function play(delivery: HandDelivery, steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.kind === 'turn') delivery.loop.turn();
      else if (step.kind === 'advance') delivery.loop.advance(step.ms);
      else if (step.kind === 'append') {
        for (let i = 0; i < step.count; i++) delivery.append(step.bytes, i % 3 === 0 ? 'A' : 'B');
      } else {
        const client = delivery.clients[step.client];
        if (client?.hearsRooms() === true) client.read();
        else client?.poll();
      }
    }
  }

  test('no client ever has more than MAX_BACKPRESSURE waiting, and each gets all it wants once and in order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16 * KB, max: 1024 * KB }),
        fc.array(aStep, { minLength: 20, maxLength: 120 }),
        (maxBackpressureBytes, steps) => {
          const delivery = new HandDelivery({ maxBackpressureBytes });
          const all = [
            delivery.join(),
            delivery.join({ networkBytes: 200 * KB }),
            delivery.join({ transport: 'polling' }),
          ];
          const some: HandClient[] = [
            delivery.join({ topics: ['A'] }),
            delivery.join({ topics: ['A'], networkBytes: 200 * KB }),
            delivery.join({ topics: ['A'], transport: 'polling' }),
          ];
          play(delivery, steps);
          finish(delivery);
          const entries = upTo(delivery.ring.head.seq);
          const wanted = entries.filter((seq) => delivery.ring.at(seq - 1)?.symbol === 'A');
          for (const client of all) expect(client.seqs).toEqual(entries);
          for (const client of some) expect(client.seqs).toEqual(wanted);
          // uWebSockets.js takes a message as long as no more than that waits already.
          const longest = 17 * KB;
          for (const client of delivery.clients) {
            expect(client.mostBytes).toBeLessThanOrEqual(maxBackpressureBytes + longest);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
