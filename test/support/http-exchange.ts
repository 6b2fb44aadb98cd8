import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST } from './processes.js';
import { type StrictAnswer, readAnswer } from './strict-http.js';

/** A connection over which requests are sent byte by byte, and whose answers are read by a reader that forgives nothing. */
export class HttpExchange {
  readonly socket: Socket;
  isClosed = false;
  #received = Buffer.alloc(0);
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** @param from - the address it comes from */
  static async open(port: number, from = HOST): Promise<HttpExchange> {
    const socket = connect({ port, host: HOST, localAddress: from, noDelay: true });
    const exchange = new HttpExchange(socket);
    await once(socket, 'connect');
    return exchange;
  }

  /** What has come after the answers that were read. */
  get rest(): Buffer {
    return this.#received;
  }

  /** Writes pieces, each in a turn of its own. */
  async send(...pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      if (this.socket.destroyed) return;
      this.socket.write(piece);
      if (pieces.length > 1) await new Promise(setImmediate);
    }
  }

  /**
   * Reads the next answer.
   *
   * @param patience - ms to wait for it
   * @returns `'closed'` or `'silent'` where there is none
   * @throws {@link Malformed} for what is no answer
   */
  async answer(method: string, patience: number): Promise<StrictAnswer | 'closed' | 'silent'> {
    const deadline = performance.now() + patience;
    for (;;) {
      const read = readAnswer(this.#received, method, this.isClosed);
      if (read !== undefined) {
        this.#received = read.rest as Buffer<ArrayBuffer>;
        return read.answer;
      }
      const left = deadline - performance.now();
      if (this.isClosed) return 'closed';
      if (left <= 0) return 'silent';
      await this.#change(left);
    }
  }

  /** Waits until something comes, or for a while. */
  async idle(duration: number): Promise<void> {
    if (!this.isClosed) await this.#change(duration);
  }

  /** Ends the connection by a reset, or in an orderly way. */
  end(how: 'RST' | 'FIN'): void {
    if (this.socket.destroyed) return;
    if (how === 'RST') this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  async #change(limit: number): Promise<void> {
    const timer = new AbortController();
    await Promise.race([
      new Promise<void>((resolve) => (this.#wake = resolve)),
      sleep(limit, undefined, { signal: timer.signal }).catch(() => {}),
    ]);
    timer.abort();
  }
}
