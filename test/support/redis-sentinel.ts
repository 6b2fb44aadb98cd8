import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Certificate } from './certificate.js';
import { Child, type Cleanup, HOST, serverPort } from './processes.js';
import { RedisServer } from './redis.js';
import { until } from './until.js';

/** The name that Sentinel knows the master by. */
const MASTER_NAME = 'feed';
const SENTINELS = 3;
const QUORUM = 2;
const FAILOVER_TIMEOUT_MS = 5000;

/** How servers and sentinels are started. */
interface SentinelOptions {
  readonly replicas?: number;
  readonly downAfter?: number;
  /** Servers and sentinels speak TLS, too, each on a port of its own. */
  readonly tls?: Certificate | undefined;
  /** Of the sentinels. */
  readonly password?: string | undefined;
}

interface Sentinel {
  readonly port: number;
  readonly tlsPort: number;
  readonly password: string | undefined;
  readonly child: Child;
}

/** A real master with replicas, watched by three real sentinels that fail over when the master is gone. */
export class RedisSentinel {
  /** The servers; the first one is the master at the start. Each can be killed, paused and restarted alone. */
  readonly servers: readonly RedisServer[];
  readonly #sentinels: readonly Sentinel[];

  private constructor(servers: readonly RedisServer[], sentinels: readonly Sentinel[]) {
    this.servers = servers;
    this.#sentinels = sentinels;
  }

  /**
   * Starts all, and waits until the replicas are in step and the sentinels know each other and them.
   *
   * @param options.replicas - number of replicas
   * @param options.downAfter - milliseconds of silence after which a sentinel takes the master for down
   */
  static async start(
    cleanup: Cleanup,
    { replicas = 1, downAfter = 1000, tls, password }: SentinelOptions = {},
  ): Promise<RedisSentinel> {
    // No waiting for more replicas before a full copy is sent, so that a start takes milliseconds.
    const own = async (): Promise<{ args: string[]; tlsPort: number }> => {
      const tlsPort = tls === undefined ? 0 : await serverPort();
      const secure =
        tls === undefined ? [] : [...tls.redisArgs, '--tls-port', String(tlsPort), '--tls-replication', 'yes'];
      return { args: ['--repl-diskless-sync-delay', '0', ...secure], tlsPort };
    };
    const first = await own();
    const master = await RedisServer.start(cleanup, first.args);
    const servers = [master];
    // With TLS, sentinels and replicas know the servers by their TLS ports.
    const masterPort = tls === undefined ? master.port : first.tlsPort;
    for (let i = 0; i < replicas; i++) {
      const { args } = await own();
      servers.push(await RedisServer.start(cleanup, [...args, '--replicaof', HOST, String(masterPort)]));
    }
    const probe = master.client(cleanup);
    await until(
      'the replicas to be in step',
      async () => (await probe.info('replication')).match(/state=online/g)?.length === replicas,
      { limit: 30_000 },
    );
    probe.disconnect();

    const sentinels: Sentinel[] = [];
    for (let i = 0; i < SENTINELS; i++)
      sentinels.push(await startSentinel(cleanup, { masterPort, downAfter, tls, password }));
    const all = new RedisSentinel(servers, sentinels);
    await all.ready();
    return all;
  }

  /** The processes of the sentinels, in the order of {@link url}. */
  get sentinels(): readonly Child[] {
    return this.#sentinels.map(({ child }) => child);
  }

  /** A way in with TLS. @param login - `user:password@` of the servers */
  tlsUrl(login = ''): string {
    return `rediss-sentinel://${login}${this.#sentinels.map(({ tlsPort }) => `${HOST}:${tlsPort}`).join(',')}/${MASTER_NAME}`;
  }

  get url(): string {
    return `redis-sentinel://${this.#sentinels.map(({ port }) => `${HOST}:${port}`).join(',')}/${MASTER_NAME}`;
  }

  /**
   * A client for the test that goes to the master of the moment. A command fails while there is none; none is sent a
   * second time.
   */
  client(cleanup: Cleanup): Redis {
    const client = new Redis({
      sentinels: this.#sentinels.map(({ port }) => ({ host: HOST, port })),
      name: MASTER_NAME,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => 50,
      sentinelRetryStrategy: () => 50,
    });
    client.on('error', () => {});
    return cleanup.add(client, () => client.disconnect());
  }

  /** A connection to each sentinel. */
  sentinelClients(cleanup: Cleanup): Redis[] {
    return this.#sentinels.map(({ port, password }) => {
      const login = password === undefined ? {} : { password };
      const client = new Redis({ host: HOST, port, ...login, enableReadyCheck: false });
      client.on('error', () => {});
      return cleanup.add(client, () => client.disconnect());
    });
  }

  /** The server that most sentinels take for the master now, whether it runs or not. */
  async master(): Promise<RedisServer> {
    const votes = await Promise.all(
      this.#sentinels.map((sentinel) =>
        ask(sentinel, async (client) => {
          const answer = (await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)) as string[];
          return Number(answer[1]);
        }),
      ),
    );
    const port = votes.find((vote) => votes.filter((other) => other === vote).length >= QUORUM);
    const found = this.servers.find((server) => server.port === port);
    if (found === undefined) throw new Error(`the sentinels do not agree on a master: ${votes.join(', ')}`);
    return found;
  }

  /** Waits until each sentinel sees the master up, every replica, and every other sentinel. */
  async ready(): Promise<void> {
    await Promise.all(
      this.#sentinels.map(async (sentinel) => {
        let seen: unknown;
        await until(
          'a sentinel to know the others',
          () =>
            ask(sentinel, async (client) => {
              const reply = (await client.call('SENTINEL', 'MASTER', MASTER_NAME)) as string[];
              const fields = new Map(reply.map((key, i) => [key, reply[i + 1]]));
              seen = reply;
              return (
                fields.get('flags') === 'master' &&
                Number(fields.get('num-slaves')) === this.servers.length - 1 &&
                Number(fields.get('num-other-sentinels')) === SENTINELS - 1
              );
            }),
          { seen: () => [seen, sentinel.child.stdout], limit: 60_000 },
        );
      }),
    );
  }
}

async function startSentinel(
  cleanup: Cleanup,
  { masterPort, downAfter, tls, password }: SentinelOptions & { masterPort: number },
): Promise<Sentinel> {
  const port = await serverPort();
  const tlsPort = tls === undefined ? 0 : await serverPort();
  const dir = await mkdtemp(join(tmpdir(), 'signal-gateway-sentinel-'));
  // A sentinel writes what it learns into its configuration, so each has a file of its own.
  const file = join(dir, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    `bind ${HOST}`,
    `dir ${dir}`,
    `sentinel monitor ${MASTER_NAME} ${HOST} ${masterPort} ${QUORUM}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${downAfter}`,
    `sentinel failover-timeout ${MASTER_NAME} ${FAILOVER_TIMEOUT_MS}`,
    ...(password === undefined ? [] : [`requirepass ${password}`, `sentinel sentinel-pass ${password}`]),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const child = new Child('redis-server', [
    file,
    '--sentinel',
    ...(tls === undefined ? [] : [...tls.redisArgs, '--tls-port', String(tlsPort), '--tls-replication', 'yes']),
  ]);
  cleanup.add(child, async () => {
    await child.kill();
    await rm(dir, { recursive: true, force: true });
  });
  const sentinel: Sentinel = { port, tlsPort, password, child };
  await until('the sentinel to answer', () => ask(sentinel, (client) => client.ping()), {
    seen: () => child.stdout + child.stderr,
  });
  return sentinel;
}

async function ask<T>({ port, password }: Sentinel, question: (client: Redis) => Promise<T>): Promise<T> {
  const login = password === undefined ? {} : { password };
  const client = new Redis({ host: HOST, port, ...login, retryStrategy: () => null, lazyConnect: true });
  client.on('error', () => {});
  try {
    await client.connect();
    return await question(client);
  } finally {
    client.disconnect();
  }
}
