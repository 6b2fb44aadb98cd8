import { Decoder, Encoder, PacketType } from 'socket.io-parser';
import { describe, expect, test } from 'vitest';
import {
  PACKET_TYPE,
  PLAIN_CONNECT,
  encodeAck,
  encodeCheckpoint,
  encodeConnect,
  encodeConnectError,
  encodeEntry,
  encodeEvent,
  encodeGap,
  hasAttachments,
  isConnect,
  readHead,
} from '../../src/contract/packet.js';

/** A packet as the stock parser knows it. */
interface Packet {
  readonly type: PacketType;
  readonly nsp: string;
  readonly data?: unknown;
  readonly id?: number;
}

/** The text of a packet, by the stock encoder; of one with attachments, what comes before them. */
function stockText(packet: Packet): string {
  const [text] = new Encoder().encode(packet);
  if (typeof text !== 'string') throw new Error('the stock encoder did not begin with a text');
  return text;
}

function stockPacket(text: string): unknown {
  let decoded: unknown;
  const decoder = new Decoder();
  decoder.on('decoded', (packet: unknown) => {
    decoded = packet;
  });
  decoder.add(text);
  return decoded;
}

const SIGNAL = { type: 'X', signal: 'BUY', price: 1.5, symbol: 'é"\\\u2028💥', nested: [[{}], null] };
const ENTRY = { epoch: 'e1', seq: 7, event: 'new_signal', json: JSON.stringify(SIGNAL) } as const;
const GAP = { reason: 'expired', requested: '"\\', resumed: 'e1:9' } as const;
const ANSWER = { ok: true, topics: ['A', 'B@1m'] } as const;
const REFUSAL = { message: 'a "quoted" text', data: { code: 'payload_too_large' } } as const;

function event(...data: unknown[]): Packet {
  return { type: PacketType.EVENT, nsp: '/', data };
}

const ENCODED: readonly (readonly [name: string, text: string, packet: Packet])[] = [
  ['an event', encodeEvent('status_update', '{"a":1}'), event('status_update', { a: 1 })],
  ['an event with an offset', encodeEvent('welcome', '{"a":1}', 'e1:7'), event('welcome', { a: 1 }, 'e1:7')],
  ['an entry of the journal', encodeEntry(ENTRY), event('new_signal', SIGNAL, 'e1:7')],
  [
    'a deleted entry',
    encodeEntry({ ...ENTRY, json: '', deleted: true }),
    event('gap', { reason: 'deleted', requested: 'e1:6', resumed: 'e1:7' }),
  ],
  ['a gap', encodeGap(GAP), event('gap', GAP)],
  ['a checkpoint', encodeCheckpoint({ epoch: 'e1', seq: 9 }), event('checkpoint', 'e1:9')],
  [
    'the answer to a CONNECT',
    encodeConnect('Abc_-0', 'Def_-1'),
    { type: PacketType.CONNECT, nsp: '/', data: { sid: 'Abc_-0', pid: 'Def_-1' } },
  ],
  ['a refused CONNECT', encodeConnectError(REFUSAL), { type: PacketType.CONNECT_ERROR, nsp: '/', data: REFUSAL }],
  [
    'a refused CONNECT to a namespace',
    encodeConnectError(REFUSAL, '/admin'),
    { type: PacketType.CONNECT_ERROR, nsp: '/admin', data: REFUSAL },
  ],
  ['an acknowledgement', encodeAck('12', ANSWER), { type: PacketType.ACK, nsp: '/', id: 12, data: [ANSWER] }],
  [
    'an acknowledgement in a namespace',
    encodeAck('0', ANSWER, '/admin'),
    { type: PacketType.ACK, nsp: '/admin', id: 0, data: [ANSWER] },
  ],
];

describe('the gateway writes packets as the stock parser does', () => {
  test.each(ENCODED)('%s is the same text', (_name, text, packet) => {
    expect(text).toBe(stockText(packet));
  });

  test.each(ENCODED)('%s is understood by the stock parser', (_name, text, packet) => {
    expect(stockPacket(text)).toMatchObject({ ...packet });
  });
});

const HEADS: readonly (readonly [name: string, packet: Packet, head: ReturnType<typeof readHead>])[] = [
  ['a CONNECT', { type: 0, nsp: '/', data: { token: 'x' } }, { type: 0, namespace: undefined }],
  ['a CONNECT to a namespace', { type: 0, nsp: '/admin', data: {} }, { type: 0, namespace: '/admin' }],
  ['a CONNECT without auth', { type: 0, nsp: '/' }, undefined],
  ['an event', event('subscribe', ['A']), { type: 2, namespace: undefined, id: undefined, event: 'subscribe' }],
  [
    'an event that asks for an answer',
    { ...event('subscribe', ['A']), id: 15 },
    { type: 2, namespace: undefined, id: '15', event: 'subscribe' },
  ],
  [
    'an event of a namespace',
    { ...event('other'), nsp: '/admin', id: 3 },
    { type: 2, namespace: '/admin', id: '3', event: 'other' },
  ],
  ['an acknowledgement', { type: 3, nsp: '/', id: 1, data: ['x'] }, undefined],
  ['a DISCONNECT', { type: 1, nsp: '/' }, undefined],
];

describe('the gateway reads the beginning of packets that the stock parser wrote', () => {
  test.each(HEADS)('%s', (_name, packet, head) => {
    const text = stockText(packet);
    expect(readHead(text)).toEqual(head);
    expect(isConnect(text)).toBe(packet.type === PacketType.CONNECT);
    expect(hasAttachments(text)).toBe(false);
  });

  test('however much of a packet there is', () => {
    const text = stockText({ ...event('subscribe', ['A'.repeat(1000)]), id: 15 });
    const whole = text.indexOf(',');
    for (let end = 0; end < text.length; end++) {
      const head = readHead(text.slice(0, end));
      expect(head === undefined).toBe(end < whole);
    }
  });

  test.each([
    ['an event', PacketType.EVENT],
    ['an acknowledgement', PacketType.ACK],
  ])('%s with attachments is told by its type', (_name, type) => {
    const text = stockText({ type, nsp: '/', id: 1, data: ['x', Buffer.from('bytes')] });
    expect(hasAttachments(text)).toBe(true);
    expect(isConnect(text)).toBe(false);
    expect(readHead(text)).toBeUndefined();
  });
});

test('the types of packets are those of the stock parser', () => {
  expect(PACKET_TYPE).toEqual({
    connect: PacketType.CONNECT,
    event: PacketType.EVENT,
    ack: PacketType.ACK,
    connectError: PacketType.CONNECT_ERROR,
    binaryEvent: PacketType.BINARY_EVENT,
    binaryAck: PacketType.BINARY_ACK,
  });
  expect(stockPacket(PLAIN_CONNECT)).toEqual({ type: PacketType.CONNECT, nsp: '/' });
});
