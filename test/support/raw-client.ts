import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { firstEvent } from './first-event.js';
import { HOST } from './processes.js';

const LIMIT_MS = 10_000;

/** A client that speaks HTTP and WebSocket byte by byte over a bare TCP socket, so that it can stop anywhere. */
export class RawClient {
  readonly socket: Socket;
  /** Everything received and not yet taken by {@link take}. */
  received = Buffer.alloc(0);
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.received = Buffer.concat([this.received, data]);
    });
    // A connection that the other side resets is nothing special here.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** @param from - the address it comes from */
  static async connect(port: number, from = HOST): Promise<RawClient> {
    const socket = connect({ port, host: HOST, localAddress: from });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Resolves when the bytes are with the kernel. */
  send(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(data, () => resolve());
    });
  }

  /** Waits until what was received has the text, and takes everything up to its end. */
  async take(text: string): Promise<string> {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const at = this.received.indexOf(text);
      if (at >= 0) {
        const taken = this.received.subarray(0, at + text.length).toString();
        this.received = this.received.subarray(at + text.length);
        return taken;
      }
      if (this.closed || Date.now() > deadline) {
        const why = this.closed ? 'the connection was closed' : `waited ${LIMIT_MS} ms`;
        throw new Error(`no ${JSON.stringify(text)}: ${why}; received: ${this.received.toString()}`);
      }
      await firstEvent(this.socket, ['data', 'close'], 200);
    }
  }

  /** The head of a request on the Socket.IO path. */
  static request(
    method: 'GET' | 'POST',
    query: string,
    headers: Readonly<Record<string, string | number>> = {},
  ): string {
    const lines = Object.entries({ host: HOST, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    return `${method} /socket.io/?EIO=4&${query} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }

  /** A request for a WebSocket. */
  static upgrade(sid?: string): string {
    return RawClient.request('GET', `transport=websocket${sid === undefined ? '' : `&sid=${sid}`}`, {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': 13,
      'sec-websocket-key': randomBytes(16).toString('base64'),
    });
  }

  /** A masked WebSocket frame (RFC 6455, section 5.2), of text unless it is given bytes; the mask is 0. */
  static frame(data: string | Uint8Array): Buffer {
    const payload = Buffer.from(data as string);
    const opcode = typeof data === 'string' ? 0x81 : 0x82;
    const head =
      payload.length <= 125
        ? [opcode, 0x80 | payload.length]
        : [opcode, 0x80 | 126, payload.length >> 8, payload.length & 0xff];
    if (payload.length > 0xffff) throw new Error('only frames of up to 64 KB are made here');
    return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
  }

  /** Makes a session over long-polling and returns its id. */
  async handshake(): Promise<string> {
    await this.send(RawClient.request('GET', 'transport=polling'));
    await this.take('{"sid":"');
    const sid = (await this.take('"')).slice(0, -1);
    await this.take('}');
    return sid;
  }

  /** Sends packets over long-polling and waits for the answer. */
  async post(sid: string, packets: string): Promise<void> {
    await this.send(
      RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': packets.length }) + packets,
    );
    await this.take('\r\n\r\nok');
  }

  /** Opens a WebSocket and waits for the answer. */
  async open(sid?: string): Promise<void> {
    await this.send(RawClient.upgrade(sid));
    await this.take('101 Switching Protocols');
    await this.take('\r\n\r\n');
  }

  /** Ends the connection, by a reset or in an orderly way. */
  async abort(how: 'RST' | 'FIN'): Promise<void> {
    if (this.closed) return;
    const closed = firstEvent(this.socket, ['close'], 1000);
    if (how === 'RST') this.socket.resetAndDestroy();
    else {
      this.socket.end();
      this.socket.resume();
    }
    await closed;
    this.socket.destroy();
  }
}
