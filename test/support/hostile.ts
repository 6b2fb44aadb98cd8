import { type Socket, connect } from 'node:net';
import { firstEvent } from './first-event.js';
import { HOST } from './processes.js';
import type { Random } from './random.js';
import { RawClient } from './raw-client.js';

/** Opcodes of RFC 6455. */
export const TEXT = 1;
export const BINARY = 2;

/** A masked WebSocket frame of any length; the mask is 0. @param announced - the length that it tells */
export function frame(payload: Buffer, opcode = TEXT, announced = payload.length): Buffer {
  const head = [0x80 | opcode];
  if (announced < 126) head.push(0x80 | announced);
  else if (announced < 65_536) head.push(0x80 | 126, announced >> 8, announced & 255);
  else
    head.push(
      0x80 | 127,
      0,
      0,
      0,
      0,
      (announced >>> 24) & 255,
      (announced >> 16) & 255,
      (announced >> 8) & 255,
      announced & 255,
    );
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

/** A socket that nothing can upset. @param from - the address it comes from */
export async function open(port: number, from = HOST): Promise<Socket> {
  const socket = connect({ port, host: HOST, localAddress: from });
  socket.on('error', () => {});
  socket.on('data', () => {});
  await firstEvent(socket, ['connect', 'close']);
  return socket;
}

/** Opens a WebSocket, writes bytes into it and waits until it is closed, or for a while. */
export async function throwAt(port: number, bytes: Buffer, patience = 300, from = HOST): Promise<void> {
  const socket = await open(port, from);
  socket.write(RawClient.upgrade());
  await firstEvent(socket, ['data', 'close']);
  if (!socket.destroyed) socket.write(bytes);
  await firstEvent(socket, ['close'], patience);
  socket.destroy();
}

/** Does something many times, some of it at once. */
export async function repeat(count: number, atOnce: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < count) await work(next++);
    }),
  );
}

const SEEDS = [
  '40',
  '40{"token":"x"}',
  '40{"pid":"a","offset":"b:1"}',
  '40/admin,{}',
  '41',
  '42["subscribe",["BTC/USDT"]]',
  '420["subscribe",["BTC/USDT","*"]]',
  '42999999["subscribe",[]]',
  '42["a",{"_placeholder":true,"num":0}]',
  '430["ack"]',
  '44{"message":"x"}',
  '451-["a",{"_placeholder":true,"num":0}]',
  '4599999-["a",{"_placeholder":true,"num":99998}]',
  '461-0["a",{"_placeholder":true,"num":-1}]',
  '42["__proto__",{"constructor":{"prototype":1}}]',
  '42["disconnect"]',
  '42["connect"]',
  '42[1,2,3]',
  '42{"a":1}',
  '42[[[[[[[[[[]]]]]]]]]]',
  '2probe',
  '3',
  '3probe',
  '5',
  '1',
  '0{"sid":"x"}',
  '6',
  'bAAAA',
];

const TOKENS = [
  '\u0000',
  '"',
  '{',
  '[',
  ']',
  '}',
  ',',
  '-',
  '/',
  '\x1e',
  '9'.repeat(20),
  '__proto__',
  'null',
  '\u{1F600}',
];

/** One packet of Engine.IO: random, or a good one with something changed. */
export function fuzzed(random: Random): { readonly payload: Buffer; readonly opcode: number } {
  if (random.below(10) === 0) return { payload: random.bytes(random.below(60)), opcode: random.pick([TEXT, BINARY]) };
  let text = random.pick(SEEDS);
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = random.below(text.length + 1);
    const cut = random.below(3);
    text =
      text.slice(0, at) + (random.below(2) === 0 ? random.pick(TOKENS) : random.pick(SEEDS)) + text.slice(at + cut);
  }
  return { payload: Buffer.from(text), opcode: random.below(20) === 0 ? BINARY : TEXT };
}
