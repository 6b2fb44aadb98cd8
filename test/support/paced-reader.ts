import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { type Frame, type FrameHandler, FrameReader, OPCODE, clientFrame } from '../../bench/load/frames.js';
import { parseOffset } from '../../src/contract/offset.js';
import type { Gap } from '../../src/contract/events.js';
import { type Cleanup, HOST } from './processes.js';
import { RawClient } from './raw-client.js';
import { until } from './until.js';

/** A paced reader reads so often. */
const READS_PER_SECOND = 10;
/** The most that is read at once. */
const READ_BYTES = 64 * 1024;
/** An offset and what closes the packet are shorter. */
const LONGEST_END = 80;
/** Any signal is longer, and no packet of Engine.IO's own. */
const SHORTEST_SIGNAL = 20;

// What is read is dealt with before the next read.
const SHARED = Buffer.alloc(READ_BYTES);

/** What a reader found wrong with what it got. */
export interface ReaderFaults {
  lost: number;
  twice: number;
  outOfOrder: number;
  /** A `gap` that does not begin where the reader is, or does not go on where the next entry comes. */
  wrongGaps: number;
}

/**
 * A client that takes from the network only so many bytes a second, or nothing for a while, and checks what it gets: `seq` must
 * be contiguous, unless a `gap` names exactly what is missing. To the gateway it looks like a client behind a slow line: the
 * window of its TCP connection opens as slowly as it reads, and a ping is answered when it has come through.
 */
export class PacedReader implements FrameHandler {
  readonly faults: ReaderFaults = { lost: 0, twice: 0, outOfOrder: 0, wrongGaps: 0 };
  readonly gaps: Gap[] = [];
  /** Signals that it got. */
  received = 0;
  /** Places that it was told are lost to it. */
  missed = 0;
  /** `seq` of the newest place that it has everything up to, or was told about. */
  last = -1;
  /** Why the connection ended; it never comes back. */
  ended: string | undefined = undefined;
  readonly #socket: Socket;
  readonly #frames = new FrameReader(this);
  #head = '';
  #isOpen = false;
  #pace: { readonly buffer: Buffer; readonly timer: NodeJS.Timeout } | undefined;
  #isStopped = false;

  private constructor(port: number) {
    this.#socket = connect({
      host: HOST,
      port,
      noDelay: true,
      onread: { buffer: () => this.#pace?.buffer ?? SHARED, callback: (length, bytes) => this.#onRead(length, bytes) },
    });
    this.#socket.on('error', (error) => (this.ended ??= error.message));
    this.#socket.on('close', () => (this.ended ??= 'the connection was closed'));
  }

  /** Connects, and waits for the `welcome`; until it is told otherwise it reads as fast as it can. */
  static async connect(cleanup: Cleanup, port: number): Promise<PacedReader> {
    const reader = cleanup.add(new PacedReader(port), (self) => self.#close());
    await once(reader.#socket, 'connect');
    reader.#socket.write(RawClient.upgrade());
    await until('the welcome', () => reader.last >= 0, { seen: () => reader });
    return reader;
  }

  /** From now on it reads so many bytes a second. */
  pace(bytesPerSecond: number): void {
    this.hasten();
    const bytes = Math.min(READ_BYTES, Math.max(16, Math.round(bytesPerSecond / READS_PER_SECOND)));
    const everyMs = Math.max(1, (bytes / bytesPerSecond) * 1000);
    this.#pace = { buffer: Buffer.alloc(bytes), timer: setInterval(() => this.#resume(), everyMs) };
  }

  /** Reads nothing until {@link goOn}. */
  stop(): void {
    this.#isStopped = true;
    this.#socket.pause();
  }

  /** Reads again, at its pace. */
  goOn(): void {
    this.#isStopped = false;
    this.#socket.resume();
  }

  /** From now on it reads as fast as it can. */
  hasten(): void {
    clearInterval(this.#pace?.timer);
    this.#pace = undefined;
    this.goOn();
  }

  onFrame({ opcode, bytes, at, length }: Frame): void {
    if (opcode === OPCODE.ping) {
      this.#socket.write(clientFrame(Buffer.from(bytes.subarray(at, at + length)), OPCODE.pong));
    } else if (opcode === OPCODE.close) {
      this.ended = `the gateway closed it: ${length < 2 ? 'without a code' : String(bytes.readUInt16BE(at))}`;
    } else if (isSignal(bytes, at, length)) {
      this.received++;
      this.#take(lastArgument(bytes, at, length));
    } else this.#onPacket(bytes.toString('utf8', at, at + length));
  }

  /** What `until` prints of a reader. */
  toJSON(): unknown {
    const { received, last, faults, gaps, ended } = this;
    return { received, last, faults, gaps, ended };
  }

  #onPacket(packet: string): void {
    if (packet.startsWith('0')) this.#socket.write(clientFrame('40'));
    else if (packet === '2') this.#socket.write(clientFrame('3'));
    else if (packet === '1' || packet.startsWith('41')) this.ended = 'the gateway disconnected it';
    else if (packet.startsWith('42["welcome"')) {
      const [, , offset] = JSON.parse(packet.slice(2)) as [string, unknown, string];
      this.last = seqOf(offset);
    } else if (packet.startsWith('42["gap"')) {
      const [, gap] = JSON.parse(packet.slice(2)) as [string, Gap];
      this.gaps.push(gap);
      if (seqOf(gap.requested) !== this.last || seqOf(gap.resumed) <= this.last) this.faults.wrongGaps++;
      this.missed += seqOf(gap.resumed) - this.last;
      this.last = seqOf(gap.resumed);
    }
  }

  #take(offset: string): void {
    const seq = seqOf(offset);
    if (seq === this.last) this.faults.twice++;
    else if (seq < this.last) this.faults.outOfOrder++;
    else if (seq > this.last + 1) {
      // What a gap named was too little.
      this.faults.lost += seq - this.last - 1;
    }
    this.last = Math.max(this.last, seq);
  }

  #onRead(length: number, bytes: Uint8Array): boolean {
    const data = bytes as Buffer;
    if (this.#isOpen) this.#frames.read(data, 0, length);
    else this.#onHead(data.toString('latin1', 0, length));
    return this.#pace === undefined && !this.#isStopped;
  }

  #onHead(text: string): void {
    this.#head += text;
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return;
    this.#isOpen = true;
    const rest = Buffer.from(this.#head.slice(end + 4), 'latin1');
    this.#frames.read(rest, 0, rest.length);
  }

  #resume(): void {
    if (!this.#isStopped) this.#socket.resume();
  }

  #close(): void {
    clearInterval(this.#pace?.timer);
    this.#socket.destroy();
  }
}

/** Whether the packet at a place is a `new_signal`, as `42["new_signal",` alone is by its fifth byte. */
function isSignal(bytes: Buffer, at: number, length: number): boolean {
  return length > SHORTEST_SIGNAL && bytes[at + 1] === 0x32 && bytes[at + 4] === 0x6e;
}

function lastArgument(bytes: Buffer, at: number, length: number): string {
  const end = bytes.toString('latin1', at + Math.max(0, length - LONGEST_END), at + length);
  return end.slice(end.lastIndexOf(',"') + 2, -2);
}

/** The number in an offset; a test here has one epoch. */
function seqOf(text: string): number {
  const offset = parseOffset(text);
  if (offset === undefined) throw new Error(`"${text}" is not an offset`);
  return offset.seq;
}
