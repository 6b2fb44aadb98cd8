import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Cluster, type Redis } from 'ioredis';
import type { Certificate } from './certificate.js';
import { type Cleanup, HOST, serverPort } from './processes.js';
import { RedisServer } from './redis.js';
import { until } from './until.js';

const run = promisify(execFile);

/** Milliseconds after which nodes take a silent one for failed. */
const NODE_TIMEOUT_MS = 1000;

/** A real Redis Cluster: masters that share the slots, without replicas unless told otherwise. */
export class RedisCluster {
  /** The nodes; each can be killed, paused and restarted alone. */
  readonly nodes: readonly RedisServer[];
  readonly #tlsPorts: readonly number[];

  private constructor(nodes: readonly RedisServer[], tlsPorts: readonly number[]) {
    this.nodes = nodes;
    this.#tlsPorts = tlsPorts;
  }

  /**
   * Starts the nodes, joins them, and waits until every one of them says that the cluster is in order.
   *
   * @param size - number of nodes; Redis wants three masters at least
   * @param options.replicas - of each master, among the nodes
   * @param options.tls - the nodes speak TLS, too, on ports of their own
   */
  static async start(
    cleanup: Cleanup,
    size = 3,
    { replicas = 0, tls }: { replicas?: number; tls?: Certificate } = {},
  ): Promise<RedisCluster> {
    const tlsPorts: number[] = [];
    const nodes: RedisServer[] = [];
    for (let i = 0; i < size; i++) {
      const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
      args.push('--repl-diskless-sync-delay', '0');
      if (tls !== undefined) {
        const tlsPort = await serverPort(true);
        tlsPorts.push(tlsPort);
        args.push(...tls.redisArgs, '--tls-port', String(tlsPort), '--tls-cluster', 'yes');
      }
      nodes.push(await RedisServer.start(cleanup, args, await serverPort(true)));
    }
    // Nodes that speak TLS with each other are known by their TLS ports.
    const ports = tls === undefined ? nodes.map(({ port }) => port) : tlsPorts;
    const secure =
      tls === undefined ? [] : ['--tls', '--cacert', tls.certFile, '--cert', tls.certFile, '--key', tls.keyFile];
    await run('redis-cli', [
      ...secure,
      '--cluster',
      'create',
      ...ports.map((port) => `${HOST}:${port}`),
      '--cluster-replicas',
      String(replicas),
      '--cluster-yes',
    ]);
    const cluster = new RedisCluster(nodes, tlsPorts);
    await cluster.ready(cleanup);
    return cluster;
  }

  /** A way in with TLS. @param login - `user:password@` */
  tlsUrl(login = ''): string {
    return `rediss-cluster://${login}${this.#tlsPorts.map((port) => `${HOST}:${port}`).join(',')}`;
  }

  get url(): string {
    return `redis-cluster://${this.nodes.map(({ port }) => `${HOST}:${port}`).join(',')}`;
  }

  /** A cluster client of its own for the test; reconnects. */
  client(cleanup: Cleanup): Cluster {
    const cluster = new Cluster(
      this.nodes.map(({ port }) => ({ host: HOST, port })),
      { clusterRetryStrategy: () => 50 },
    );
    cluster.on('error', () => {});
    return cleanup.add(cluster, () => cluster.disconnect());
  }

  /** A connection to each node, in their order. */
  nodeClients(cleanup: Cleanup): Redis[] {
    return this.nodes.map((node) => node.client(cleanup));
  }

  /** Waits until every node is up, knows every other, and has all slots served. */
  async ready(cleanup: Cleanup): Promise<void> {
    await Promise.all(
      this.nodeClients(cleanup).map(async (client) => {
        let info = '';
        await until(
          'the cluster to be in order',
          async () => {
            info = await client.cluster('INFO');
            const known = Number(/cluster_known_nodes:(\d+)/.exec(info)?.[1]);
            return info.includes('cluster_state:ok') && known === this.nodes.length;
          },
          { seen: () => info, limit: 30_000 },
        );
        client.disconnect();
      }),
    );
  }
}
