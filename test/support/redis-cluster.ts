import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Cluster, type Redis } from 'ioredis';
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

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes;
  }

  /**
   * Starts the nodes, joins them, and waits until every one of them says that the cluster is in order.
   *
   * @param size - number of nodes; Redis wants three masters at least
   * @param replicas - of each master, among the nodes
   */
  static async start(cleanup: Cleanup, size = 3, replicas = 0): Promise<RedisCluster> {
    const nodes: RedisServer[] = [];
    for (let i = 0; i < size; i++) {
      const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
      args.push('--repl-diskless-sync-delay', '0');
      nodes.push(await RedisServer.start(cleanup, args, await serverPort(true)));
    }
    const addresses = nodes.map(({ port }) => `${HOST}:${port}`);
    await run('redis-cli', [
      '--cluster',
      'create',
      ...addresses,
      '--cluster-replicas',
      String(replicas),
      '--cluster-yes',
    ]);
    const cluster = new RedisCluster(nodes);
    await cluster.ready(cleanup);
    return cluster;
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
