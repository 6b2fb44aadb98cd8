import { type Socket, connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Pod } from './pod.js';
import { type Cleanup, HOST } from './processes.js';
import { RawClient } from './raw-client.js';
import { until } from './until.js';

/** Opcodes of RFC 6455, section 5.2. */
const TEXT = 1;
const CLOSE = 8;

/** How the other side has closed a WebSocket. */
export interface CloseFrame {
  /** 1005 for a frame that has none. */
  readonly code: number;
  readonly reason: string;
}

/** How a {@link FrameClient} asks for its WebSocket. */
export interface FrameClientOptions {
  /** The session that it asks for. */
  readonly sid?: string;
  /** Whether it comes over TLS, and takes any certificate. */
  readonly tls?: boolean;
  /** Whether it leaves its side open when the other one has ended. */
  readonly allowHalfOpen?: boolean;
}

/** A WebSocket of which every frame is seen, and how it ends. */
export class FrameClient {
  readonly socket: Socket;
  /** Messages so far: a text, or bytes. Those that {@link next} has taken are not among them. */
  readonly messages: (string | Buffer)[] = [];
  /** The head of the answer to its request. */
  head = '';
  /** The close frame, once there is one. */
  closeFrame: CloseFrame | undefined = undefined;
  /** Whether the other side has ended the TCP connection. */
  isEnded = false;
  /** The error that ended the TCP connection, such as a reset. */
  error: Error | undefined = undefined;
  #unread = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => this.#take(data));
    socket.on('end', () => (this.isEnded = true));
    socket.on('close', () => (this.isEnded = true));
    socket.on('error', (error) => (this.error = error));
  }

  /** Asks for a WebSocket, and does not wait for the answer. */
  static request(
    cleanup: Cleanup,
    { port }: Pick<Pod, 'port'>,
    { sid, tls = false, allowHalfOpen = false }: FrameClientOptions = {},
  ): FrameClient {
    const target = { port, host: HOST, allowHalfOpen };
    const socket = tls ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target);
    socket.write(RawClient.upgrade(sid));
    return cleanup.add(new FrameClient(socket), (self) => self.socket.destroy());
  }

  /** The same, and waits until it is open. */
  static async open(cleanup: Cleanup, pod: Pick<Pod, 'port'>, options: FrameClientOptions = {}): Promise<FrameClient> {
    const client = FrameClient.request(cleanup, pod, options);
    await until('the WebSocket to open', () => client.isOpen, { seen: () => client });
    return client;
  }

  get isOpen(): boolean {
    return this.head.startsWith('HTTP/1.1 101 ');
  }

  /** Sends messages, each in a frame. */
  send(...messages: readonly (string | Uint8Array)[]): void {
    this.socket.write(Buffer.concat(messages.map((message) => RawClient.frame(message))));
  }

  /** Waits for the next message, and takes it. */
  async next(): Promise<string | Buffer> {
    await until('a message', () => this.messages.length > 0, { seen: () => this });
    return this.messages.shift() ?? '';
  }

  /** Waits until the other side has closed the WebSocket in an orderly way, and says how. */
  async closed(): Promise<CloseFrame> {
    await until('the WebSocket to be closed', () => this.isEnded, { seen: () => this });
    if (this.closeFrame === undefined) throw new Error(`ended without a close frame: ${String(this.error)}`);
    return this.closeFrame;
  }

  /** What `until` prints of it. */
  toJSON(): unknown {
    const { head, messages, closeFrame, isEnded, error } = this;
    return { head, messages, closeFrame, isEnded, error: String(error) };
  }

  #take(data: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, data]);
    if (this.head === '') {
      const end = this.#unread.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#unread.subarray(0, end).toString();
      this.#unread = this.#unread.subarray(end + 4);
    }
    while (this.isOpen && this.#takeFrame());
  }

  /** Takes a frame off what came in. @returns whether there was a whole one */
  #takeFrame(): boolean {
    const bytes = this.#unread;
    const short = (bytes[1] ?? 0) & 127;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < start) return false;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < start + length) return false;
    const payload = bytes.subarray(start, start + length);
    this.#unread = bytes.subarray(start + length);
    const opcode = (bytes[0] ?? 0) & 15;
    if (opcode === CLOSE) {
      this.closeFrame = { code: length < 2 ? 1005 : payload.readUInt16BE(), reason: payload.subarray(2).toString() };
    } else if (opcode < CLOSE) this.messages.push(opcode === TEXT ? payload.toString() : payload);
    return true;
  }
}
