import type { Socket } from 'node:net';
import { firstEvent } from './first-event.js';
import { frame, open } from './hostile.js';
import { RawClient } from './raw-client.js';

/** Opcodes of RFC 6455. */
const CONTINUATION = 0;
const TEXT = 1;
const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** Bit of a frame that is the last of its message. */
const FIN = 0x80;

/** A frame after which others of the same message follow. */
export function unfinished(payload: Buffer, opcode: number): Buffer {
  const bytes = frame(payload, opcode);
  bytes[0] = opcode & ~FIN;
  return bytes;
}

/** The same frame many times. */
export function times(count: number, bytes: Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

const CONNECT = frame(Buffer.from('40'));

/** What uWebSockets.js answers, or passes over, by itself: one write each. */
export const CONTROL_FLOODS: readonly Buffer[] = [
  times(1000, frame(Buffer.alloc(125, 120), PING)),
  times(1000, frame(Buffer.alloc(0), PONG)),
  Buffer.concat([CONNECT, times(1000, frame(Buffer.alloc(125, 120), PING))]),
  // In the middle of a message, where control frames may stand.
  Buffer.concat([unfinished(Buffer.from('4'), TEXT), times(1000, frame(Buffer.alloc(10, 120), PING))]),
  times(1000, frame(Buffer.from([3, 232]), CLOSE)),
];

/** Parts of a message that never ends: of no byte, and of one byte. */
export const FRAGMENTS: readonly Buffer[] = [
  times(20_000, unfinished(Buffer.alloc(0), CONTINUATION)),
  times(20_000, unfinished(Buffer.alloc(1, 120), CONTINUATION)),
];

/** How long one connection goes on at most. */
const FRAGMENTS_MS = 2000;

/** Waits until a socket takes more, or is closed; not with `once`, which rejects when it is reset. */
async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      socket.off('drain', end).off('close', end);
      resolve();
    };
    socket.on('drain', end).on('close', end);
  });
}

/** Writes parts of a message into one WebSocket as fast as they are taken, until that is closed or the time is over. */
export async function sendFragments(port: number, from: string, parts: Buffer, over: AbortSignal): Promise<void> {
  const socket = await open(port, from);
  try {
    socket.write(RawClient.upgrade());
    await firstEvent(socket, ['data', 'close']);
    if (socket.destroyed) return;
    socket.write(Buffer.concat([CONNECT, unfinished(Buffer.from('4'), TEXT)]));
    const end = performance.now() + FRAGMENTS_MS;
    while (!socket.destroyed && !over.aborted && performance.now() < end) {
      if (!socket.write(parts)) await drained(socket);
      // A write that is taken at once must not keep the loop.
      await new Promise(setImmediate);
    }
  } finally {
    socket.destroy();
  }
}
