import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader, OPCODE, clientFrame, upgradeRequest } from '../../../bench/load/frames.js';

interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** A frame as a server sends it: not masked. */
function serverFrame({ opcode, payload }: Frame): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (head.length === 2) head[1] = length;
  else if (head.length === 4) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

/** Reads pieces as a socket does: all through one buffer, which the next piece overwrites. */
function read(pieces: readonly Buffer[]): { opcode: number; payload: string }[] {
  const frames: { opcode: number; payload: string }[] = [];
  const reader = new FrameReader({
    onFrame: ({ opcode, bytes, at, length }) =>
      frames.push({ opcode, payload: bytes.toString('latin1', at, at + length) }),
  });
  const shared = Buffer.alloc(Math.max(1, ...pieces.map(({ length }) => length)) + 3);
  for (const piece of pieces) {
    shared.fill(0xee);
    piece.copy(shared, 3);
    reader.read(shared, 3, 3 + piece.length);
  }
  return frames;
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

const payload = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 124, maxLength: 128 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 65_545 }).map((length) => new Uint8Array(length).fill(7)) },
);
const frame = fc.record({ opcode: fc.constantFrom(...Object.values(OPCODE)), payload });

test('any split of any sequence of frames gives the same frames', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(200_000), { maxLength: 40 }), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(serverFrame));
      expect(read(split(bytes, cuts))).toEqual(
        frames.map(({ opcode, payload: body }) => ({ opcode, payload: Buffer.from(body).toString('latin1') })),
      );
    }),
    { numRuns: 300 },
  );
});

test('frames that arrive byte by byte are read', () => {
  const frames = [0, 1, 125, 126, 300].map((length) => ({ opcode: 1, payload: Buffer.alloc(length, 'x') }));
  const bytes = Buffer.concat(frames.map(serverFrame));
  const pieces = Array.from({ length: bytes.length }, (_, i) => bytes.subarray(i, i + 1));
  expect(read(pieces).map(({ payload: { length } }) => length)).toEqual([0, 1, 125, 126, 300]);
});

test('what no server may send, or what would be misread, is an error', () => {
  expect(() => read([clientFrame('40')])).toThrow('masked');
  expect(() => read([Buffer.from([0x01, 1, 0x61])])).toThrow('fragments');
  expect(() => read([Buffer.from([0xc1, 1, 0x61])])).toThrow('extensions');
  expect(() => read([Buffer.from([0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0])])).toThrow('frame of 4294967296 bytes');
});

test('a frame of a client is masked with zeros, and long ones have a long head', () => {
  expect([...clientFrame('40')]).toEqual([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30]);
  expect([...clientFrame('', OPCODE.close)]).toEqual([0x88, 0x80, 0, 0, 0, 0]);
  const long = clientFrame('x'.repeat(300));
  expect([...long.subarray(0, 9)]).toEqual([0x81, 0xfe, 1, 44, 0, 0, 0, 0, 0x78]);
  expect(long.length).toBe(308);
});

test("a browser's headers are about 700 bytes more", () => {
  const more = upgradeRequest('127.0.0.1:3000', 'browser').length - upgradeRequest('127.0.0.1:3000', 'bare').length;
  expect(more).toBeGreaterThan(600);
  expect(more).toBeLessThan(800);
});
