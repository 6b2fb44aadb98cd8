import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Child, type Cleanup, HOST, serverPort } from './processes.js';
import { until } from './until.js';

/** A real redis-server on a port of its own, in a folder of its own. */
export class RedisServer {
  readonly port: number;
  readonly #dir: string;
  readonly #args: readonly string[];
  readonly #program: string;
  #child: Child;

  private constructor(port: number, dir: string, { args, program }: { args: readonly string[]; program: string }) {
    this.#program = program;
    this.port = port;
    this.#dir = dir;
    this.#args = args;
    this.#child = this.#spawn();
  }

  /**
   * @param args - more options, such as `--appendonly yes`
   * @param port - a free one if left out
   */
  static async start(cleanup: Cleanup, args: readonly string[] = [], port?: number): Promise<RedisServer> {
    return RedisServer.startProgram(cleanup, 'redis-server', { args, port });
  }

  /** As {@link start}, with another program: a path, or a name on the PATH. */
  static async startProgram(
    cleanup: Cleanup,
    program: string,
    { args = [], port }: { args?: readonly string[]; port?: number | undefined } = {},
  ): Promise<RedisServer> {
    const dir = await mkdtemp(join(tmpdir(), 'signal-gateway-redis-'));
    const server = new RedisServer(port ?? (await serverPort()), dir, { args, program });
    cleanup.add(server, async () => {
      await server.kill();
      await rm(dir, { recursive: true, force: true });
    });
    await server.ready();
    return server;
  }

  /** Starts a replica of it, and waits until that is in step. */
  async replica(cleanup: Cleanup): Promise<RedisServer> {
    const args = ['--replicaof', HOST, String(this.port)];
    const replica = await RedisServer.startProgram(cleanup, this.#program, { args });
    await this.inStep(cleanup);
    return replica;
  }

  /** Waits until a replica is in step. */
  async inStep(cleanup: Cleanup): Promise<void> {
    const probe = this.client(cleanup);
    await until('a replica to be in step', async () => (await probe.info('replication')).includes('state=online'));
    probe.disconnect();
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** A client of its own for the test; reconnects. */
  client(cleanup: Cleanup): Redis {
    const client = new Redis({ host: HOST, port: this.port, retryStrategy: () => 50 });
    client.on('error', () => {});
    return cleanup.add(client, () => client.disconnect());
  }

  /** Ends the process (SIGKILL), or pauses and continues it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#child.kill(signal);
  }

  /** Starts it again on the same port and folder. */
  async restart(): Promise<void> {
    await this.kill();
    this.#child = this.#spawn();
    await this.ready();
  }

  async ready(): Promise<void> {
    const probe = new Redis({ host: HOST, port: this.port, lazyConnect: true, retryStrategy: () => 20 });
    probe.on('error', () => {});
    try {
      await until('Redis to answer', async () => (await probe.ping()) === 'PONG', {
        seen: () => this.#child.stdout + this.#child.stderr,
      });
    } finally {
      probe.disconnect();
    }
  }

  #spawn(): Child {
    const own = ['--port', String(this.port), '--bind', HOST, '--dir', this.#dir, '--save', '', '--daemonize', 'no'];
    return new Child(this.#program, [...own, ...this.#args]);
  }
}
