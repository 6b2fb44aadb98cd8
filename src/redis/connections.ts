import { type Cluster, Redis, type RedisOptions } from 'ioredis';
import { withTimeout } from '../deadline.js';
import { Diagnosis } from './diagnosis.js';
import { RedisFaultError, faultOf } from './fault.js';
import { createCluster } from './cluster-endpoints.js';
import { RedisTls } from './tls.js';
import type { RedisTarget } from './url.js';

/** A connection for commands: to one server, through Sentinel, or to a cluster. */
export type RedisCommands = Redis | Cluster;

/** ioredis types an absent `replyMapping` so that it cannot be spread under exact optional types. */
type Options = Omit<RedisOptions, 'replyMapping'>;

const CONNECT_TIMEOUT_MS = 5000;
/**
 * A command that has no answer by then fails, so a stopped Redis cannot hang a request. Longer than an append may wait to be
 * carried out (docs/ordering.md).
 */
const COMMAND_TIMEOUT_MS = 3000;
/** Limit for a connection that is made for one message. */
const PUBLISH_LIMIT_MS = 5000;
/** A sentinel that has not answered by then is skipped. */
const SENTINEL_TIMEOUT_MS = 2000;
/**
 * A connection that owes an answer this long is closed and replaced: a server that hangs, or a host that is gone, may
 * have a successor by now. Longer than the timeout of a command, so that one slow answer does not cut the others.
 */
const SILENCE_LIMIT_MS = 5000;
/** How long the answer counts why Redis cannot be entered. */
const DIAGNOSIS_KEPT_MS = 5000;
const SLOTS_REFRESH_MS = 5000;
/** A subscribed connection sends nothing by itself; a ping gives it something to wait for. */
const PING_INTERVAL_MS = 2000;

function retryDelay(times: number): number {
  return Math.min(2000, 50 * 2 ** Math.min(times, 6)) * (0.5 + Math.random() / 2);
}

/** Pings a connection while it is up, so that its silence is noticed (see {@link SILENCE_LIMIT_MS}). */
function keepAsking(connection: Redis): void {
  const timer = setInterval(() => {
    if (connection.status === 'ready') connection.ping().catch(() => {});
  }, PING_INTERVAL_MS).unref();
  connection.once('end', () => clearInterval(timer));
}

/**
 * Connects to the nodes of a cluster before there are commands for them. ioredis would do so at the first command for a
 * node and, without a queue, refuse those that come meanwhile.
 */
function connectEagerly(cluster: Cluster): void {
  const connect = (node: Redis): void => {
    // While the cluster is not ready, a node that is connecting would make ioredis's own check of the cluster fail.
    if (cluster.status === 'ready' && node.status === 'wait') node.connect().catch(() => {});
  };
  cluster.on('ready', () => cluster.nodes().forEach(connect));
  // Later, since a command that the node was found for goes first: it is the one that is let through.
  cluster.on('+node', (node: Redis) => setImmediate(connect, node));
}

function credentials(target: RedisTarget): Pick<Options, 'username' | 'password'> {
  return {
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
  };
}

/** How one server, or one through its sentinels, is reached. */
function addressOptions(target: Exclude<RedisTarget, { kind: 'cluster' }>, tls: RedisTls): Options {
  const serverTls = tls.forServers();
  const server: Options = { db: target.db, ...credentials(target), ...(serverTls && { tls: serverTls }) };
  if (target.kind === 'single') return { ...target.node, ...server };
  const sentinelTls = tls.forSentinels();
  const { sentinelUser, sentinelPassword } = target.access ?? {};
  return {
    ...server,
    sentinels: target.sentinels.map((sentinel) => ({ ...sentinel })),
    name: target.name,
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    enableTLSForSentinelMode: target.tls,
    ...(sentinelTls && { sentinelTLS: sentinelTls }),
    ...(sentinelUser !== undefined && { sentinelUsername: sentinelUser }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
  };
}

/** Makes the connections of one process; the only place that knows how each kind of Redis is reached. */
export class RedisConnections {
  readonly #target: RedisTarget;
  readonly #name: string;
  readonly #tls: RedisTls;
  #clusterNodes: () => readonly Options[] = () => [];
  readonly #open: RedisCommands[] = [];
  /** Follows the way into Redis step by step. */
  readonly diagnosis: Diagnosis;
  #explained: { readonly atMs: number; readonly fault: ReturnType<Diagnosis['fault']> } | undefined;

  /** @param name - shown by `CLIENT LIST` */
  constructor(target: RedisTarget, name: string) {
    this.#target = target;
    this.#name = name;
    this.#tls = new RedisTls(target);
    this.diagnosis = new Diagnosis(target, this.#tls);
  }

  /** Whether Redis is a cluster. */
  get isCluster(): boolean {
    return this.#target.kind === 'cluster';
  }

  /**
   * A connection that reconnects by itself.
   *
   * @param purpose - part of the connection's name
   * @param options.queue - whether commands wait while the link is down (needed to subscribe); without it they fail at
   *   once, so nothing stale is sent later
   */
  commands(purpose: string, options: { queue: boolean }): RedisCommands {
    const common: Options = {
      connectionName: `${this.#name}:${purpose}`,
      // Before version 7.2 Redis does not know CLIENT SETINFO, and notes it in ACL LOG.
      disableClientInfo: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // A command that was under way when the link broke may have been carried out: sending it again could do it twice.
      autoResendUnfulfilledCommands: false,
      socketTimeout: SILENCE_LIMIT_MS,
      // A primary that was demoted and keeps its connections: the next connection goes to the new one.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
      ...(options.queue ? {} : { commandTimeout: COMMAND_TIMEOUT_MS }),
    };
    const target = this.#target;
    const connection =
      target.kind === 'cluster'
        ? this.#cluster(target, common, options.queue)
        : new Redis({
            ...addressOptions(target, this.#tls),
            ...common,
            enableOfflineQueue: options.queue,
            maxRetriesPerRequest: options.queue ? null : 0,
            retryStrategy: retryDelay,
            sentinelRetryStrategy: retryDelay,
          });
    this.#open.push(connection);
    if (options.queue && connection instanceof Redis) keepAsking(connection);
    return connection;
  }

  #cluster(target: Extract<RedisTarget, { kind: 'cluster' }>, common: Options, queue: boolean): Cluster {
    const cluster = createCluster(
      target.nodes,
      {
        redisOptions: { ...common, ...this.#nodeOptions(target) },
        enableOfflineQueue: queue,
        clusterRetryStrategy: retryDelay,
        shardedSubscribers: queue,
        // 0: a command whose connection broke fails, for the same reason as autoResendUnfulfilledCommands.
        retryDelayOnFailover: queue ? 100 : 0,
        retryDelayOnClusterDown: queue ? 100 : 0,
        slotsRefreshTimeout: 2000,
        // A node that was away is found again without waiting for a command that needs it.
        slotsRefreshInterval: SLOTS_REFRESH_MS,
      },
      (servername) => this.#tls.forServers(servername),
    );
    connectEagerly(cluster);
    this.#clusterNodes = () =>
      cluster.nodes('master').map(({ options: { host = '', port = 0, tls } }) => ({ host, port, ...(tls && { tls }) }));
    return cluster;
  }

  /** What every node of a cluster is reached with. */
  #nodeOptions(target: RedisTarget): Options {
    const tls = this.#tls.forServers();
    return { ...credentials(target), ...(tls && { tls }) };
  }

  /**
   * A connection that is used once: it connects when told to and does not reconnect. On a cluster it goes to a random
   * node, since a message published on one node is heard on all.
   */
  single(purpose: string): Redis {
    const common: Options = {
      connectionName: `${this.#name}:${purpose}`,
      // Before version 7.2 Redis does not know CLIENT SETINFO, and notes it in ACL LOG.
      disableClientInfo: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      lazyConnect: true,
      retryStrategy: null,
      sentinelRetryStrategy: () => null,
      maxRetriesPerRequest: 0,
      autoResubscribe: false,
    };
    const target = this.#target;
    if (target.kind !== 'cluster') return new Redis({ ...addressOptions(target, this.#tls), ...common });
    const known = this.#clusterNodes();
    const nodes = known.length > 0 ? known : target.nodes;
    const node = nodes[Math.floor(Math.random() * nodes.length)];
    return new Redis({ ...common, ...this.#nodeOptions(target), ...node });
  }

  /**
   * A connection that is used once, for keys: as {@link single}, but on a cluster one that finds the node of a key.
   */
  keyed(purpose: string): RedisCommands {
    const target = this.#target;
    if (target.kind !== 'cluster') return this.single(purpose);
    return createCluster(
      target.nodes,
      {
        redisOptions: {
          connectionName: `${this.#name}:${purpose}`,
          // Before version 7.2 Redis does not know CLIENT SETINFO, and notes it in ACL LOG.
          disableClientInfo: true,
          connectTimeout: CONNECT_TIMEOUT_MS,
          ...this.#nodeOptions(target),
        },
        lazyConnect: true,
        clusterRetryStrategy: () => null,
        retryDelayOnFailover: 0,
        slotsRefreshTimeout: 2000,
      },
      (servername) => this.#tls.forServers(servername),
    );
  }

  /** Publishes on a connection of its own, so it does not matter whether the others are up. */
  async publish(channel: string, text: string): Promise<void> {
    const connection = this.single('publisher');
    // ioredis reports a failed connect() in this event too; without a listener it would print it.
    connection.on('error', () => {});
    try {
      await withTimeout(
        PUBLISH_LIMIT_MS,
        'publishing',
        connection.connect().then(() => connection.publish(channel, text)),
      );
    } finally {
      connection.disconnect();
    }
  }

  /**
   * Finds out why a connection could not be made. ioredis hides the reason behind "All sentinels are unreachable" or
   * "Failed to refresh slots cache", so each server is asked over a connection of its own, and all connections that
   * fail at the time share the answer.
   *
   * @param error - what ioredis said, which counts if nothing else is found
   * @returns an error that names the step and the server
   */
  async explain(error: unknown): Promise<Error> {
    const nowMs = performance.now();
    if (this.#explained === undefined || nowMs - this.#explained.atMs > DIAGNOSIS_KEPT_MS)
      this.#explained = { atMs: nowMs, fault: this.diagnosis.fault() };
    const fault = await this.#explained.fault;
    return new RedisFaultError(fault ?? faultOf(error), { cause: error });
  }

  /** Closes every connection made by {@link commands}. */
  close(): void {
    for (const connection of this.#open) connection.disconnect();
  }
}
