import { type Server, type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';
import { type Cleanup, HOST } from './processes.js';

/** A port that leads to another port, until it is cut, held or led elsewhere. */
export class TcpForwarder {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #target: number;
  #held = false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer({ noDelay: true }, (from) => this.#accept(from));
  }

  /** @param target - the port it leads to */
  static async open(cleanup: Cleanup, target: number): Promise<TcpForwarder> {
    const forwarder = cleanup.add(new TcpForwarder(target), async (self) => {
      const closed = once(self.#server, 'close');
      self.#server.close();
      self.cut();
      await closed;
    });
    forwarder.#server.listen(0, HOST);
    await once(forwarder.#server, 'listening');
    return forwarder;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** Breaks every connection; what is on its way is lost. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  /** Leads to another port from now on; connections to the old one break. */
  leadTo(target: number): void {
    this.#target = target;
    this.cut();
  }

  /** Lets nothing through, in either direction, until {@link release}; connections stay open. */
  hold(): void {
    this.#held = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Lets everything through again, what was held back first. */
  release(): void {
    this.#held = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  #accept(from: Socket): void {
    const to = connect({ host: HOST, port: this.#target, noDelay: true });
    const pair = [from, to] as const;
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      from.destroy();
      to.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    from.on('data', (data) => to.write(data));
    to.on('data', (data) => from.write(data));
    if (this.#held) for (const socket of pair) socket.pause();
  }
}
