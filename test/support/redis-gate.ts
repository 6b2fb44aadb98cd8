import { type Server, type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';
import { type Cleanup, HOST } from './processes.js';

interface Pair {
  readonly pod: Socket;
  readonly redis: Socket;
  /** The connection's name, from `CLIENT SETNAME`. */
  name: string;
}

/** Stands between one pod and Redis, and can hold back what Redis sends on connections of a kind. */
export class RedisGate {
  readonly #port: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #held: string | undefined;
  #next: { readonly name: string; readonly command: RegExp } | undefined;

  private constructor(port: number) {
    this.#port = port;
    this.#server = createServer({ noDelay: true }, (pod) => this.#accept(pod));
  }

  /** @param port - Redis's own port */
  static async open(cleanup: Cleanup, port: number): Promise<RedisGate> {
    const gate = cleanup.add(new RedisGate(port), (self) => {
      for (const { pod, redis } of self.#pairs) {
        pod.destroy();
        redis.destroy();
      }
      self.#server.close();
    });
    gate.#server.listen(0, HOST);
    await once(gate.#server, 'listening');
    return gate;
  }

  get url(): string {
    return `redis://${HOST}:${(this.#server.address() as { port: number }).port}`;
  }

  /** Holds back what Redis sends on connections whose name ends so, such as `:reader`. */
  hold(name: string): void {
    this.#held = name;
    for (const pair of this.#pairs) if (pair.name.endsWith(name)) pair.redis.pause();
  }

  /**
   * As {@link hold}, but of one connection only, from its next command of a kind on: the answer to it does not come.
   *
   * @returns whether it has come to that
   */
  holdAt(name: string, command: string): () => boolean {
    const next = { name, command: new RegExp(`\\r\\n${command}\\r\\n`, 'i') };
    this.#next = next;
    return () => this.#next !== next;
  }

  /** Lets everything through that was held. */
  release(): void {
    this.#held = undefined;
    for (const { redis } of this.#pairs) redis.resume();
  }

  #accept(pod: Socket): void {
    const redis = connect({ host: HOST, port: this.#port, noDelay: true });
    const pair: Pair = { pod, redis, name: '' };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      pod.destroy();
      redis.destroy();
    };
    for (const socket of [pod, redis]) socket.on('error', end).on('close', end);
    pod.on('data', (data) => {
      const name = /setname\r\n\$\d+\r\n(\S+)\r\n/i.exec(data.toString('latin1'))?.[1];
      if (name !== undefined) {
        pair.name = name;
        if (this.#held !== undefined && name.endsWith(this.#held)) redis.pause();
      }
      if (this.#next?.command.test(data.toString('latin1')) && pair.name.endsWith(this.#next.name)) {
        this.#next = undefined;
        redis.pause();
      }
      redis.write(data);
    });
    redis.on('data', (data) => pod.write(data));
  }
}
