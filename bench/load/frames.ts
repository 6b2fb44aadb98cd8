import { randomBytes } from 'node:crypto';

/** Opcodes of RFC 6455, section 5.2. */
export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A whole frame, where it was read. */
export interface Frame {
  /** As in {@link OPCODE}. */
  readonly opcode: number;
  readonly bytes: Buffer;
  /** Where the payload begins in `bytes`. */
  readonly at: number;
  /** Of the payload, in bytes. */
  readonly length: number;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What takes the frames of one connection. */
export interface FrameHandler {
  /** Takes a frame. MUST NOT keep it or its bytes: both are overwritten after the call. */
  onFrame(frame: Frame): void;
}

/** Longest frame taken: more is a broken server, not a signal. */
const MAX_FRAME = 1 << 20;

/**
 * Reads the WebSocket frames (RFC 6455) that a server sends on one connection. Frames that arrive whole, which is nearly all,
 * are handed on where they lie; only one that is cut by the end of a read is copied.
 */
export class FrameReader {
  readonly #handler: FrameHandler;
  /** One object for all frames, since there are tens of thousands a second. */
  readonly #frame: Writable<Frame> = { opcode: 0, bytes: Buffer.alloc(0), at: 0, length: 0 };
  /** The beginning of a frame that is not whole yet. */
  #carry: Buffer = Buffer.alloc(0);
  #carried = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /**
   * Reads on.
   *
   * @param bytes - holds what arrived, from `from` to `to`
   * @throws Error on a frame that no server here may send: masked, compressed, in fragments, or over 1 MiB
   */
  read(bytes: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#carried > 0) {
      at = this.#finish(bytes, from, to);
      if (this.#carried > 0) return;
    }
    while (at < to) {
      const head = headLength(bytes, at, to);
      const whole = head === 0 ? 0 : head + payloadLength(bytes, at, head);
      if (whole === 0 || at + whole > to) {
        this.#keep(bytes.subarray(at, to), whole);
        return;
      }
      this.#handOn(bytes, at, head);
      at += whole;
    }
  }

  /** Adds what is missing to the frame that was begun, and hands it on if it is whole. Returns where the next one begins. */
  #finish(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const head = headLength(this.#carry, 0, this.#carried);
      // As long as the length itself is not there, byte by byte: that is ten bytes at most.
      const whole = head === 0 ? this.#carried + 1 : head + payloadLength(this.#carry, 0, head);
      const end = Math.min(to, at + whole - this.#carried);
      this.#keep(bytes.subarray(at, end), whole);
      at = end;
      const headNow = head === 0 ? headLength(this.#carry, 0, this.#carried) : head;
      if (headNow === 0 || this.#carried < headNow + payloadLength(this.#carry, 0, headNow)) continue;
      this.#handOn(this.#carry, 0, headNow);
      this.#carried = 0;
      return at;
    }
    return at;
  }

  /** @param head - length of the head of the frame that begins at `at` */
  #handOn(bytes: Buffer, at: number, head: number): void {
    const frame = this.#frame;
    frame.opcode = opcode(bytes, at);
    frame.bytes = bytes;
    frame.at = at + head;
    frame.length = payloadLength(bytes, at, head);
    this.#handler.onFrame(frame);
  }

  /** @param whole - length of the frame that is begun, as far as it is known */
  #keep(part: Buffer, whole: number): void {
    const room = Math.max(whole, this.#carried + part.length);
    if (this.#carry.length < room) {
      const bigger = Buffer.allocUnsafe(Math.max(256, room));
      this.#carry.copy(bigger, 0, 0, this.#carried);
      this.#carry = bigger;
    }
    part.copy(this.#carry, this.#carried);
    this.#carried += part.length;
  }
}

/** Length of a frame's head, or 0 if it is not there yet. */
function headLength(bytes: Buffer, at: number, to: number): number {
  if (to - at < 2) return 0;
  const short = bytes[at + 1] ?? 0;
  if (short > 127) throw new Error('the server sent a masked frame');
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  return to - at < head ? 0 : head;
}

function payloadLength(bytes: Buffer, at: number, head: number): number {
  const short = bytes[at + 1] ?? 0;
  const length = head === 2 ? short : head === 4 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  if (length > MAX_FRAME) throw new Error(`the server sent a frame of ${length} bytes`);
  return length;
}

function opcode(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  // FIN alone: a fragment or a compressed frame would be read as something else than it is.
  if (first >> 4 !== 8) throw new Error('the server sent a frame in fragments or with extensions');
  return first & 0x0f;
}

/** A frame from a client: masked, as the protocol demands, with a mask of zeros, which costs neither side anything. */
export function clientFrame(payload: string | Buffer, code: number = OPCODE.text): Buffer {
  const body = Buffer.from(payload);
  const first = 0x80 | code;
  if (body.length < 126) return Buffer.concat([Buffer.from([first, 0x80 | body.length, 0, 0, 0, 0]), body]);
  const length = Buffer.alloc(8);
  length[0] = first;
  length[1] = 0x80 | 126;
  if (body.length > 0xffff) throw new RangeError('a client has nothing so long to say');
  length.writeUInt16BE(body.length, 2);
  return Buffer.concat([length, body]);
}

/** About 700 bytes of what a browser sends along. */
const BROWSER_HEADERS = [
  'Pragma: no-cache',
  'Cache-Control: no-cache',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Origin: http://127.0.0.1',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7',
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  'Sec-Fetch-Dest: websocket',
  'Sec-Fetch-Mode: websocket',
  'Sec-Fetch-Site: same-site',
  'Cookie: _ga=GA1.1.1459318842.1698400800; _ga_XK2L5Q1R7V=GS1.1.1698400800.4.1.1698400923.0.0.0; ' +
    'session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MDk3In0.8nYvYp1m; theme=dark',
];

/** A nonce that proxies never see needs to be no other for each connection. */
const KEY = randomBytes(16).toString('base64');

/** Lines that a request has beside those that every client sends. */
export function headerLines(headers: 'bare' | 'browser'): string {
  return headers === 'browser' ? BROWSER_HEADERS.map((line) => `${line}\r\n`).join('') : '';
}

/** The request that opens a Socket.IO connection over WebSocket. */
export function upgradeRequest(host: string, headers: 'bare' | 'browser'): string {
  const lines = [
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
  ];
  return `${lines.join('\r\n')}\r\n${headerLines(headers)}\r\n`;
}
