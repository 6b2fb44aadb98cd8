// A process full of clients: bare TCP sockets that speak just enough WebSocket and Socket.IO to count and to time.
import { randomBytes } from 'node:crypto';
import { type Socket, connect } from 'node:net';
import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { isSignal, nowMicros, signalDue, signalNumber } from './message.js';

/** What the parent process asks for, as the first message. */
export interface ClientsTask {
  readonly port: number;
  readonly clients: number;
  /** Signals that will be published. */
  readonly signals: number;
  /** Signals at the start that are counted and not timed. */
  readonly warmUp: number;
}

/** What this process tells: that all are connected, that something broke, or (asked by `'report'`) what it saw. */
export type ClientsMessage =
  | { readonly kind: 'connected' }
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'complete' }
  | {
      readonly kind: 'report';
      readonly received: number;
      readonly lost: number;
      readonly twice: number;
      readonly outOfOrder: number;
      /** Latencies in microseconds, HdrHistogram V2, compressed, base64. */
      readonly histogram: string;
    };

/** Clients that connect at the same time. */
const CONNECTING = 100;
/** Source addresses, so that ports do not run out. */
const ADDRESSES = 8;

const histogram = build({
  lowestDiscernibleValue: 1,
  highestTrackableValue: 60_000_000,
  numberOfSignificantValueDigits: 3,
});
const totals = { received: 0, twice: 0, outOfOrder: 0 };
let unique = 0;

function tell(message: ClientsMessage): void {
  process.send?.(message);
}

/** A masked text frame of a single short packet; the mask is 0. */
function frame(text: string): Buffer {
  return Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]);
}

/** Calls back for every frame that is whole; returns the bytes that are left. Servers do not mask. */
function readFrames(bytes: Buffer, onFrame: (opcode: number, at: number, length: number) => void): Buffer {
  let at = 0;
  for (;;) {
    if (bytes.length < at + 2) break;
    let length = (bytes[at + 1] ?? 0) & 0x7f;
    let head = 2;
    if (length === 126) {
      if (bytes.length < at + 4) break;
      length = bytes.readUInt16BE(at + 2);
      head = 4;
    } else if (length === 127) {
      if (bytes.length < at + 10) break;
      length = Number(bytes.readBigUInt64BE(at + 2));
      head = 10;
    }
    if (bytes.length < at + head + length) break;
    onFrame((bytes[at] ?? 0) & 0x0f, at + head, length);
    at += head + length;
  }
  return at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at);
}

function startClient(task: ClientsTask, index: number): Promise<void> {
  const seen = new Uint8Array(task.signals);
  let highest = -1;
  let rest: Buffer = Buffer.alloc(0);
  let upgraded = false;

  function onSignal(n: number, dueMicros: number): void {
    totals.received++;
    if (seen[n] !== 0) {
      totals.twice++;
      return;
    }
    seen[n] = 1;
    unique++;
    if (n < highest) totals.outOfOrder++;
    else highest = n;
    if (n >= task.warmUp) histogram.recordValue(Math.max(1, nowMicros() - dueMicros));
    if (unique === task.clients * task.signals) tell({ kind: 'complete' });
  }

  return new Promise((resolve) => {
    const socket: Socket = connect({
      port: task.port,
      host: '127.0.0.1',
      localAddress: `127.0.1.${1 + (index % ADDRESSES)}`,
    });
    socket.setNoDelay(true);
    const broken = (reason: string): void => tell({ kind: 'broken', reason: `client ${index}: ${reason}` });
    socket.on('error', (error) => broken(error.message));
    socket.on('close', () => broken('the connection was closed'));
    socket.on('connect', () => {
      socket.write(
        'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      );
    });
    socket.on('data', (data: Buffer) => {
      let bytes = rest.length === 0 ? data : Buffer.concat([rest, data]);
      if (!upgraded) {
        const end = bytes.indexOf('\r\n\r\n');
        rest = bytes;
        if (end < 0) return;
        if (!bytes.toString('latin1', 0, end).startsWith('HTTP/1.1 101')) {
          broken(bytes.toString('latin1', 0, end));
          return;
        }
        upgraded = true;
        socket.write(frame('40'));
        bytes = bytes.subarray(end + 4);
      }
      rest = readFrames(bytes, (opcode, at, length) => {
        if (opcode !== 1) return;
        if (isSignal(bytes, at, length)) onSignal(signalNumber(bytes, at), signalDue(bytes, at));
        else if (length === 1 && bytes[at] === 0x32) socket.write(frame('3'));
        else if (bytes.toString('latin1', at, at + length).startsWith('42["welcome"')) resolve();
      });
    });
  });
}

async function start(task: ClientsTask): Promise<void> {
  for (let first = 0; first < task.clients; first += CONNECTING) {
    const count = Math.min(CONNECTING, task.clients - first);
    await Promise.all(Array.from({ length: count }, (_, i) => startClient(task, first + i)));
  }
  tell({ kind: 'connected' });
  process.on('message', () => {
    const lost = task.clients * task.signals - unique;
    tell({ kind: 'report', ...totals, lost, histogram: encodeIntoCompressedBase64(histogram) });
  });
}

process.once('message', (task: ClientsTask) => {
  start(task).catch((error: unknown) => tell({ kind: 'broken', reason: String(error) }));
});
process.on('disconnect', () => process.exit(0));
