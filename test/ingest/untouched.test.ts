import { afterEach, expect, test } from 'vitest';
import { type FeedEvent, MAX_MESSAGE_DEPTH, MAX_PACKET_DEPTH } from '../../src/contract/events.js';
import { padded } from '../support/bad-messages.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const LIMIT = 16_000;
const TRANSPORTS = [['websocket'], ['polling']];

/** Levels below the message itself. */
const INSIDE = MAX_MESSAGE_DEPTH - 1;

const OWN: Readonly<Record<FeedEvent, Readonly<Record<string, unknown>>>> = {
  new_signal: { ...signal(162.5) },
  status_update: { ...status() },
};

/** The text of a good message with more members in front of, or behind, the known ones. */
function text(event: FeedEvent, { first = '', last = '' }: { first?: string; last?: string }): string {
  const known = JSON.stringify(OWN[event]).slice(1, -1);
  return `{${[first, known, last].filter((part) => part !== '').join(',')}}`;
}

/** Names and texts of good messages that parsing and serialising again would change, or that are easy to break. */
const MEMBERS: readonly (readonly [name: string, members: string])[] = [
  ['an integer beyond 2^53', '"id":12345678901234567890'],
  ['a decimal beyond a double', '"exact":0.1000000000000000055511151231257827021181583404541015625'],
  ['numbers in other notations', '"n":[1.50,1E5,1e+5,-0,0.0,1e-999,1e999]'],
  ['nested objects and arrays', '"meta":{"a":[{"b":[[],{}]}],"c":{"d":{"e":null}}}'],
  ['arrays as deep as they may nest', `"deep":${'['.repeat(INSIDE)}${']'.repeat(INSIDE)}`],
  ['objects as deep as they may nest', `"deep":${'{"x":'.repeat(INSIDE)}0${'}'.repeat(INSIDE)}`],
  ['many levels that are only written in texts', `"deep":"${'[{'.repeat(500)}","[[[[":0`],
  ['unicode', '"note":"Grüße, 信号 📈 \u2028\u2029\ufeff\u0000"'.replaceAll('\0', '\\u0000')],
  ['escaped text', String.raw`"note":"\u00e9\u4fe1\ud83d\udcc8\/\"\\\b\f\n\r\t"`],
  ['lone surrogates, escaped', String.raw`"note":"\ud800","n\udfffte":["\uDC00\uD800","x\ud83d"]`],
  ['a replacement character and marks of direction', '"note":"\ufffd\u202e\u200f","\ufffd":0'],
  ['control characters, escaped', String.raw`"note":"\u0000\u001e\u001f\u007f"`],
  ['keys that look the same', String.raw`"price ":1,"Price":2,"\u0070rice2":3,"prіce":4`],
  ['one unknown key twice', '"x":1,"x":2'],
  ['an unknown key twice in two spellings', String.raw`"x":1,"\u0078":2`],
  [
    'known keys twice inside an unknown one',
    '"x":{"symbol":1,"symbol":2,"service":3,"service":4},"y":[{"price":1,"price":2}]',
  ],
  ['known keys in other letters', '"Symbol":1,"SYMBOL":2,"Service":3,"Status":4,"prıce":5'],
  ['keys of the prototype', '"__proto__":{"price":1},"constructor":{"prototype":{}},"toString":"x"'],
  ['an empty key and empty values', '"":"","a":{},"b":[]'],
  ['what looks like a binary placeholder', '"_placeholder":true,"num":0'],
  ['what looks like a packet', String.raw`"note":"42[\"new_signal\",{}]","array":["new_signal",{}]`],
  ['white space inside', '"x" :\r\n\t [ 1 , 2 ]'],
];

const GOOD: readonly (readonly [name: string, event: FeedEvent, json: string])[] = (
  ['new_signal', 'status_update'] as const
).flatMap((event) => [
  ...MEMBERS.flatMap(([name, members]) => [
    [`${event} with ${name} in front`, event, text(event, { first: members })] as const,
    [`${event} with ${name} behind`, event, text(event, { last: members })] as const,
  ]),
  [`${event} with white space around it`, event, ` \r\n\t${text(event, {})}\n\n `] as const,
  [`${event} of exactly the limit`, event, padded(OWN[event], LIMIT).toString()] as const,
  [`${event} of exactly the limit in fewer characters`, event, padded(OWN[event], LIMIT, '€').toString()] as const,
]);

/** Levels of objects and arrays, as a parser with a limit counts them. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** Keeps the texts of the event packets that a client gets, before they are parsed. */
function rawPackets(client: FeedClient): string[] {
  const packets: string[] = [];
  client.socket.io.engine.on('packet', ({ type, data }: { type: string; data?: unknown }) => {
    if (type === 'message' && typeof data === 'string') packets.push(data);
  });
  return packets;
}

test('a good message reaches every client with its text untouched, whatever else it holds', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await Promise.all(
    pods.flatMap((pod) => TRANSPORTS.map((transports) => FeedClient.connect(cleanup, pod.url, { transports }))),
  );
  const packets = clients.map(rawPackets);
  const producer = redis.client(cleanup);
  for (const [, event, json] of GOOD) await producer.publish(event, json);

  await until('every message at every client', () => packets.every((list) => list.length >= GOOD.length), {
    seen: () => clients,
  });
  for (const list of packets) {
    expect(list).toHaveLength(GOOD.length);
    for (const [i, [name, event, json]] of GOOD.entries()) {
      const start = `2["${event}",${json},"`;
      const packet = list[i] ?? '';
      expect({ name, packet: packet.slice(0, start.length) }).toEqual({ name, packet: start });
      expect(packet.slice(start.length)).toMatch(/^[\w-]+:\d+"\]$/);
    }
  }
  for (const client of clients) {
    for (const event of ['new_signal', 'status_update'] as const) {
      const got = event === 'new_signal' ? client.signals : client.statuses;
      expect(got.map(([payload]) => payload)).toEqual(
        GOOD.filter(([, of]) => of === event).map(([, , json]) => JSON.parse(json) as unknown),
      );
    }
    expect(client.disconnects).toEqual([]);
  }
  expect(Math.max(...(packets[0] ?? []).map((packet) => depthOf(JSON.parse(packet.slice(1)))))).toBe(MAX_PACKET_DEPTH);
  for (const pod of pods) expect(await pod.metric('gateway_messages_rejected_total')).toBe(0);
});

test('the publish API hands texts on untouched too, alone and in a batch', async () => {
  const pod = await Pod.start(cleanup);
  const clients = await Promise.all(
    TRANSPORTS.map((transports) => FeedClient.connect(cleanup, pod.url, { transports })),
  );
  const packets = clients.map(rawPackets);
  const signals = GOOD.filter(([, event]) => event === 'new_signal').map(([, , json]) => json);
  for (const json of signals) expect((await pod.post('/v1/signals', json)).status).toBe(202);
  expect((await pod.post('/v1/signals', `[${signals.join(' ,\n')}]`)).status).toBe(202);

  const expected = [...signals, ...signals].map((json) => `2["new_signal",${json.trim()},"`);
  await until('every message at every client', () => packets.every((list) => list.length >= expected.length), {
    seen: () => clients,
  });
  for (const list of packets) {
    expect(list.map((packet) => packet.replace(/[\w-]+:\d+"\]$/, ''))).toEqual(expected);
  }
});
