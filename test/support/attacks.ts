import { once, setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { sendErrors } from './error-requests.js';
import { CONTROL_FLOODS, FRAGMENTS, sendFragments } from './frame-floods.js';
import { BINARY, frame, fuzzed, open, throwAt } from './hostile.js';
import { HOST } from './processes.js';
import type { Random } from './random.js';
import { RawClient } from './raw-client.js';

/** Where an attack takes place. */
export interface Scene {
  readonly port: number;
  readonly random: Random;
  /** Aborted when the attack is over: what is held open is let go. */
  readonly over: AbortSignal;
}

/** One kind of what hostile clients do. */
export interface Attack {
  /** What is done each time. */
  readonly what: string;
  /** Times a second. */
  readonly rate: number;
  /** Most that is under way at the same time; with more the attack gets slower than its rate. */
  readonly atOnce: number;
  /** Does it one time. @param from - the address it comes from. @param i - from 0 */
  once(scene: Scene, from: string, i: number): Promise<unknown>;
}

const CONNECT = frame(Buffer.from('40'));
const OVERSIZED = [1_100_000, 2 ** 31].map((length) =>
  Buffer.concat([CONNECT, frame(Buffer.alloc(Math.min(length, 1_100_000), 120), 1, length)]),
);
const NESTED = Buffer.concat([CONNECT, frame(Buffer.from(`42${'['.repeat(16_000)}`))]);
const ATTACHMENTS = Buffer.concat([
  CONNECT,
  frame(Buffer.from('4599999-["a",{"_placeholder":true,"num":0}]')),
  ...Array.from({ length: 50 }, () => frame(Buffer.alloc(16_000), BINARY)),
]);
const EVENTS = Buffer.concat([
  CONNECT,
  ...Array.from({ length: 2000 }, () => frame(Buffer.from('42["subscribe",["A","B"]]'))),
]);
const BOMBS = [`x: ${'y'.repeat(100_000)}\r\n`, 'a: b\r\n'.repeat(20_000)];
const PACKETS_EACH = 8;

/** Sends what no client sends over long-polling, on two connections of one session. */
async function abusePolling({ port }: Scene, from: string, i: number): Promise<void> {
  const one = await RawClient.connect(port, from);
  const other = await RawClient.connect(port, from);
  try {
    const query = `transport=polling&sid=${await one.handshake()}`;
    const requests = [
      RawClient.request('POST', query, { 'content-length': 1_000_000_000 }),
      RawClient.request('POST', query, { 'content-type': 'application/octet-stream', 'content-length': 2 }),
      RawClient.request('POST', query),
      RawClient.request('GET', query).repeat(20),
      RawClient.request('GET', 'transport=polling&sid=__proto__'),
      `${RawClient.request('POST', query, { 'content-length': 9 })}40\x1e40`,
    ];
    await one.send(requests[i % requests.length] ?? '');
    await other.send(requests[(i + 3) % requests.length] ?? '');
    await sleep(100);
  } finally {
    one.socket.destroy();
    other.socket.destroy();
  }
}

/** What hostile clients do, all with one pod. */
export const ATTACKS = {
  // First, since Engine.IO waits 30 s for the poll of a session that it is closing.
  'abuse of polling': {
    what: 'a session over long-polling, then requests that lie, repeat and cross',
    rate: 50,
    atOnce: 50,
    once: abusePolling,
  },
  'slow handshakes': {
    what: 'the head of a request in four pieces, 400 ms apart, without an end',
    rate: 150,
    atOnce: 300,
    once: async ({ port }, from) => {
      const socket = await open(port, from);
      for (const part of ['GET /socket', '.io/?EIO=4', '&transport=web', 'socket HTTP/1.1\r\nho']) {
        socket.write(part);
        await sleep(400);
      }
      socket.destroy();
    },
  },
  '5,000 half-open connections': {
    what: 'a TCP connection that says nothing, held until the pod ends it',
    rate: 2500,
    atOnce: 5000,
    once: async ({ port, over }, from) => {
      const socket = await open(port, from);
      const end = (): void => void socket.destroy();
      over.addEventListener('abort', end, { once: true });
      if (over.aborted) end();
      if (!socket.closed) await once(socket, 'close');
      over.removeEventListener('abort', end);
    },
  },
  'garbage frames': {
    what: 'a WebSocket, then 200 random bytes',
    rate: 100,
    atOnce: 50,
    once: ({ port, random }, from) => throwAt(port, random.bytes(200), 100, from),
  },
  'oversized frames': {
    what: 'a frame of 1.1 MB, or one that announces 2 GiB',
    rate: 100,
    atOnce: 50,
    once: ({ port }, from, i) => throwAt(port, OVERSIZED[i % 2] as Buffer, 100, from),
  },
  'malformed packets': {
    what: `${PACKETS_EACH} random or mutated packets of Engine.IO and Socket.IO`,
    rate: 100,
    atOnce: 50,
    once: ({ port, random }, from, i) => {
      const frames = Array.from({ length: PACKETS_EACH }, () => {
        const { payload, opcode } = fuzzed(random);
        return frame(payload, opcode);
      });
      return throwAt(port, Buffer.concat([...(i % 2 === 0 ? [CONNECT] : []), ...frames]), 100, from);
    },
  },
  'packets that nest deeply': {
    what: 'an event of 16,000 opening brackets',
    rate: 25,
    atOnce: 10,
    once: ({ port }, from) => throwAt(port, NESTED, 100, from),
  },
  'binary attachments without end': {
    what: 'an event that announces 99,999 attachments, and 800 KB of them',
    rate: 25,
    atOnce: 10,
    once: ({ port }, from) => throwAt(port, ATTACHMENTS, 200, from),
  },
  'floods of events': {
    what: '2,000 times `subscribe` in one write',
    rate: 50,
    atOnce: 20,
    once: ({ port }, from) => throwAt(port, EVENTS, 200, from),
  },
  'floods of pings': {
    what: '1,000 pings, pongs or close frames of the WebSocket itself in one write',
    rate: 50,
    atOnce: 20,
    once: ({ port }, from, i) => throwAt(port, CONTROL_FLOODS[i % CONTROL_FLOODS.length] as Buffer, 200, from),
  },
  'fragments without end': {
    what: 'a message in parts of no byte or of one byte, as fast as they are taken for 2 s',
    rate: 10,
    atOnce: 10,
    once: ({ port, over }, from, i) => sendFragments(port, from, FRAGMENTS[i % 2] as Buffer, over),
  },
  'requests that end in errors': {
    what: '50 requests that are refused on one connection one by one, or 200 at once',
    rate: 50,
    atOnce: 20,
    once: ({ port }, from, i) => sendErrors(port, from, i),
  },
  'header bombs': {
    what: 'a request with a header of 100 KB, or with 20,000 headers',
    rate: 50,
    atOnce: 20,
    once: async ({ port }, from, i) => {
      const socket = await open(port, from);
      socket.write(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: ${HOST}\r\n${BOMBS[i % 2] ?? ''}`);
      await sleep(50);
      socket.destroy();
    },
  },
} as const satisfies Readonly<Record<string, Attack>>;

/** Source addresses, so that ports do not run out: each has about 28,000, and a closed one rests for a minute. */
const ADDRESSES = 50;
const TICK_MS = 5;
/** What an attack is behind its rate is made up for this long, not more: a burst would be another attack. */
const CATCH_UP_SECONDS = 0.1;

/** How an attack is carried out. */
export interface Assault {
  readonly port: number;
  readonly random: Random;
  /** How often it is done. @default Infinity */
  readonly times?: number;
  /** Ends it early. */
  readonly stop?: AbortSignal;
  /** ms for which what is held open is held after the last time. @default 0 */
  readonly hold?: number;
}

/** Carries an attack out at its rate. @returns how often it was done, once nothing of it is left */
export async function assail(attack: Attack, assault: Assault): Promise<number> {
  const { port, random, times = Infinity, stop, hold = 0 } = assault;
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const scene = { port, random, over: over.signal };
  const running = new Set<Promise<unknown>>();
  const isStopped = (): boolean => stop?.aborted === true;
  let done = 0;
  let credit = 1;
  let last = performance.now();
  while (done < times && !isStopped()) {
    for (; credit >= 1 && done < times && running.size < attack.atOnce; credit--) {
      const from = `127.0.2.${1 + (done % ADDRESSES)}`;
      // What becomes of a hostile client is no matter here: it is looked at what becomes of the others.
      const one: Promise<unknown> = attack
        .once(scene, from, done++)
        .catch(() => {})
        .finally(() => running.delete(one));
      running.add(one);
    }
    await sleep(TICK_MS);
    const now = performance.now();
    credit = Math.min(credit + ((now - last) * attack.rate) / 1000, Math.max(1, attack.rate * CATCH_UP_SECONDS));
    last = now;
  }
  if (hold > 0) await sleep(hold);
  over.abort();
  await Promise.all(running);
  return done;
}
