import { randomBytes } from 'node:crypto';
import { type Socket, connect } from 'node:net';
import type { FleetPlan } from './fleet-types.js';
import { type Frame, type FrameHandler, FrameReader, OPCODE, clientFrame, upgradeRequest } from './frames.js';
import { isSignal, nowMicros, signalDue, signalNumber } from './message.js';
import { type Group, Seen, type Wanted } from './tally.js';

const HOST = '127.0.0.1';
/** Multiples of it fall evenly on the unit interval. */
export const GOLDEN = (Math.sqrt(5) - 1) / 2;
/** Source addresses, so that ports do not run out: each has about 28,000. */
const ADDRESSES = 50;
const CONNECT_LIMIT_MS = 30_000;
/** Clients that come back all at once wait for each other at the server. */
const RETURN_LIMIT_MS = 120_000;
/** The stock client's waits before it connects again: 1 s, doubled each time up to 5 s, each half to one and a half of it. */
const RECONNECT_MS = 1000;
const RECONNECT_MAX_MS = 5000;
/** A slow client reads this often. */
const SLOW_READS_PER_SECOND = 10;

// One buffer for all reads of the process: whatever is read is dealt with before the next read.
const BUFFER = Buffer.alloc(64 * 1024);

/** What happens to the clients of a worker. */
export interface ClientEvents {
  /**
   * A signal arrived, at {@link Client.nowMicros}.
   *
   * @param dueMicros - when it was meant to be sent
   */
  onSignal(client: Client, n: number, dueMicros: number): void;
  /** The connection ended for good. */
  onDropped(client: Client, reason: string): void;
  /** It has its `welcome` again. */
  onReconnected(client: Client, recovered: boolean): void;
  /** After it reconnected it has everything up to a signal that was due since. */
  onBack(now: number): void;
  /** The server sent what no server may: the whole measurement is void. */
  onBroken(reason: string): void;
}

/** Who a client is, for the fleet. */
export interface ClientIdentity {
  /** In the fleet, from 0. */
  readonly index: number;
  readonly group: Group;
  readonly wanted: Wanted;
  /** What it sends as `auth.topics`. */
  readonly topics: readonly string[] | undefined;
  /** Whether it reads slowly, as `plan.slow` says. */
  readonly slow: boolean;
}

/** One client: a bare TCP socket that speaks just enough WebSocket, Engine.IO and Socket.IO to count and to time. */
export class Client implements FrameHandler {
  readonly identity: ClientIdentity;
  readonly seen: Seen;
  readonly #plan: FleetPlan;
  readonly #events: ClientEvents;
  #slowBuffer: Buffer | undefined;
  #socket: Socket | undefined;
  #frames = new FrameReader(this);
  /** The beginning of the answer to the upgrade; `undefined` once it is whole. */
  #answer: string | undefined;
  #nowMicros = 0;
  #connects = 0;
  /** Connects in a row that failed. */
  #attempt = 0;
  /** It has its `welcome` on this connection. */
  #ready = false;
  #onWelcome: () => void = () => {};
  #onAsked: () => void = () => {};
  #onEnd: (reason: string) => void = () => {};
  /** Why the server ended the connection, where it said so. */
  #reason: string | undefined;
  /** Nothing can arrive any more. */
  #over = false;
  #pid: string | undefined;
  #offset: string | undefined;
  #recovered = false;
  /** When it reconnected, as long as it is not back; else 0. */
  #reconnectedAt = 0;

  constructor(identity: ClientIdentity, plan: FleetPlan, events: ClientEvents) {
    this.identity = identity;
    this.#plan = plan;
    this.#events = events;
    this.seen = new Seen(identity.wanted.below(plan.from ?? 0));
    if (plan.offset !== undefined) {
      this.#offset = plan.offset;
      // As long as one that the gateway gives.
      this.#pid = randomBytes(15).toString('base64url');
    }
    if (identity.slow && plan.slow !== undefined)
      this.#slowBuffer = Buffer.alloc(Math.max(16, Math.round(plan.slow.bytesPerSecond / SLOW_READS_PER_SECOND)));
  }

  /** Whether anything can still arrive. */
  get live(): boolean {
    return !this.#over;
  }

  /** From now on it reads as fast as it can, if it did not. */
  hasten(): void {
    this.#slowBuffer = undefined;
  }

  /**
   * Connects; resolves with the `welcome`.
   *
   * @param onAsked - called when the connection is open and the client has asked to be let in
   * @throws Error if it is refused or there is no `welcome` within 30 s; 120 s where it comes back
   */
  connect(onAsked: () => void = () => {}): Promise<void> {
    const isReturning = this.#plan.offset !== undefined;
    const limitMs = isReturning ? RETURN_LIMIT_MS : CONNECT_LIMIT_MS;
    this.#onAsked = onAsked;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => refuse(`no welcome within ${limitMs / 1000} s`), limitMs);
      const refuse = (reason: string): void => {
        clearTimeout(timer);
        this.#end();
        reject(new Error(`client ${this.identity.index}: ${reason}`));
      };
      this.#onEnd = refuse;
      this.#onWelcome = () => {
        clearTimeout(timer);
        this.#onEnd = (reason) => this.#lost(reason);
        if (isReturning) this.#reconnectedAt = nowMicros();
        resolve();
      };
      this.#open();
    });
  }

  #open(): void {
    const { headers = 'bare' } = this.#plan;
    const { index } = this.identity;
    const port = this.#nextPort();
    this.#answer = '';
    this.#frames = new FrameReader(this);
    this.#ready = false;
    const socket = connect({
      host: HOST,
      port,
      localAddress: `127.0.1.${1 + (index % ADDRESSES)}`,
      noDelay: true,
      onread: {
        // It reads slowly only once it is connected.
        buffer: this.#slowBuffer === undefined ? BUFFER : () => (this.#ready ? this.#slowBuffer : undefined) ?? BUFFER,
        callback: (length, bytes) => this.#onRead(length, bytes as Buffer),
      },
    });
    this.#socket = socket;
    socket.on('error', ({ message }) => (this.#reason ??= message));
    socket.on('close', () => {
      if (this.#over) return;
      const reason = this.#reason ?? 'the connection was closed';
      this.#reason = undefined;
      this.#onEnd(reason);
    });
    socket.write(upgradeRequest(`${HOST}:${port}`, headers));
  }

  #nextPort(): number {
    const { ports, portsAfter, workers } = this.#plan;
    // By the number within its worker, so that every worker has clients of every pod.
    const own = Math.floor(this.identity.index / workers);
    const before = this.#connects++;
    if (before > 0 && portsAfter !== undefined) {
      return portsAfter[Math.floor((((own + before) * GOLDEN) % 1) * portsAfter.length)] ?? 0;
    }
    const round = Math.floor(own / ports.length);
    // Clients that lose the same pod go to different ones next.
    const stride = before === 0 ? 0 : 1 + (round % Math.max(1, ports.length - 1)) + before - 1;
    return ports[(own + stride) % ports.length] ?? 0;
  }

  #end(): void {
    this.#over = true;
    this.#socket?.destroy();
  }

  /** The connection ended after it was welcomed, or could not be made again. */
  #lost(reason: string): void {
    if (this.#plan.reconnect !== true && !this.identity.slow) {
      this.#drop(reason);
      return;
    }
    this.#onWelcome = () => {
      this.#attempt = 0;
      this.#reconnectedAt = nowMicros();
      this.#events.onReconnected(this, this.#recovered);
    };
    const wait = Math.min(RECONNECT_MAX_MS, RECONNECT_MS * 2 ** this.#attempt++);
    setTimeout(() => this.#open(), wait * (0.5 + Math.random()));
  }

  #drop(reason: string): void {
    this.#end();
    this.#events.onDropped(this, reason);
  }

  #onRead(length: number, bytes: Buffer): boolean {
    try {
      this.#nowMicros = nowMicros();
      if (this.#answer === undefined) this.#frames.read(bytes, 0, length);
      else this.#onAnswer(this.#answer + bytes.toString('latin1', 0, length));
    } catch (error) {
      this.#end();
      this.#events.onBroken(`client ${this.identity.index}: ${String(error)}`);
    }
    if (this.#slowBuffer === undefined || !this.#ready) return true;
    setTimeout(() => this.#socket?.resume(), 1000 / SLOW_READS_PER_SECOND);
    return false;
  }

  /** @param answer - what there is of the answer to the upgrade, and perhaps the first frames */
  #onAnswer(answer: string): void {
    const end = answer.indexOf('\r\n\r\n');
    this.#answer = end < 0 ? answer : undefined;
    if (end < 0) return;
    if (!answer.startsWith('HTTP/1.1 101')) {
      this.#reason = `the server answered ${answer.slice(0, answer.indexOf('\r'))}`;
      this.#socket?.destroy();
      return;
    }
    // As in the stock client, an offset means nothing without a pid.
    const auth = { topics: this.identity.topics, ...(this.#pid && { pid: this.#pid, offset: this.#offset }) };
    const json = JSON.stringify(auth);
    this.#socket?.write(clientFrame(json === '{}' ? '40' : `40${json}`));
    this.#onAsked();
    const rest = Buffer.from(answer.slice(end + 4), 'latin1');
    this.#frames.read(rest, 0, rest.length);
  }

  /** When the bytes that are being handled were read. */
  get nowMicros(): number {
    return this.#nowMicros;
  }

  onFrame(frame: Frame): void {
    const { opcode, bytes, at, length } = frame;
    if (opcode === OPCODE.text) {
      if (isSignal(bytes, at, length)) {
        const due = signalDue(bytes, at);
        this.#events.onSignal(this, signalNumber(bytes, at), due);
        if (this.#follows) this.#follow(frame, due);
      } else this.#onPacket(bytes.toString('utf8', at, at + length));
    } else if (opcode === OPCODE.ping) {
      this.#socket?.write(clientFrame(Buffer.from(bytes.subarray(at, at + length)), OPCODE.pong));
    } else if (opcode === OPCODE.close) this.#socket?.end(clientFrame('', OPCODE.close));
  }

  /** Whether it may come back, or has. */
  get #follows(): boolean {
    const { reconnect, offset } = this.#plan;
    return reconnect === true || offset !== undefined || this.identity.slow;
  }

  /** Remembers where it is, as the stock client does, and sees whether it is back. */
  #follow({ bytes, at, length }: Frame, due: number): void {
    this.#offset = lastString(bytes, at, length) ?? this.#offset;
    if (this.#reconnectedAt === 0 || due < this.#reconnectedAt || this.seen.missing(0) > 0) return;
    this.#reconnectedAt = 0;
    this.#events.onBack(this.#nowMicros);
  }

  /** Anything but a signal. */
  #onPacket(packet: string): void {
    if (packet === '2') this.#socket?.write(clientFrame('3'));
    else if (packet.startsWith('42[')) {
      const bytes = Buffer.from(packet);
      this.#offset = lastString(bytes, 0, bytes.length) ?? this.#offset;
      if (packet.startsWith('42["welcome"')) {
        this.#ready = true;
        this.#onWelcome();
      }
    } else if (packet.startsWith('40')) {
      const { pid } = JSON.parse(packet.slice(2) || '{}') as { pid?: string };
      this.#recovered = pid !== undefined && pid === this.#pid;
      this.#pid = pid;
    } else if (packet.startsWith('41') || packet.startsWith('44')) {
      // After these the stock client does not come back either; before the first welcome it was refused.
      const reason = packet.startsWith('41')
        ? 'the server disconnected it'
        : `the server refused it: ${packet.slice(2)}`;
      if (this.#connects === 1 && !this.#ready) this.#onEnd(reason);
      else this.#drop(reason);
    }
  }
}

/** The last argument of an event packet, if it is a string without escapes. */
function lastString(bytes: Buffer, at: number, length: number): string | undefined {
  const end = at + length - 2;
  if (bytes[end] !== 0x22 || bytes[end + 1] !== 0x5d) return undefined;
  const start = bytes.lastIndexOf(0x22, end - 1);
  // Before it a comma: else it is the name of an event without arguments.
  return start > at && bytes[start - 1] === 0x2c ? bytes.toString('latin1', start + 1, end) : undefined;
}
