import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Config } from '../config/config.js';
import type { FeedEvent } from '../contract/events.js';
import { messageOf } from '../errors.js';
import { Bridge } from '../ingest/bridge.js';
import { Intake } from '../ingest/intake.js';
import { RedisRejectionStore } from '../ingest/redis-rejection-store.js';
import { subscription } from '../ingest/redis-subscription.js';
import { type OnReject, Rejections } from '../ingest/rejections.js';
import type { JournalListener, StatusEntry } from '../journal/journal.js';
import { bridgedId, isBridged } from '../journal/redis-appender.js';
import { RedisJournal, type RedisJournalOptions } from '../journal/redis-journal.js';
import { WAIT_LANES } from '../journal/replica-wait.js';
import { scriptLoader } from '../redis/lua-script.js';
import { type RedisCommands, RedisConnections } from '../redis/connections.js';
import { type RedisFault, RedisFaultError, faultOf } from '../redis/fault.js';
import { claimDatabase } from '../redis/database-marker.js';
import { RedisLink } from '../redis/link.js';
import { unsupported } from '../redis/requirements.js';
import { type RedisAspect, type RedisChange, RedisState } from '../redis/redis-state.js';
import type { RedisTarget } from '../redis/url.js';
import { type AdapterFactory, adapterKey, redisAdapter } from '../websocket/adapter.js';
import { HandedOn } from '../websocket/ear-adapter.js';
import { FormerPods } from '../websocket/former-pods.js';
import { RedisTopicStore } from '../delivery/redis-topic-store.js';

/** Callbacks of the Redis parts. */
export interface RedisPartsListener extends JournalListener {
  onStatuses(statuses: readonly StatusEntry[]): void;
  /** Called for every change of the link to Redis. */
  onRedis(change: RedisChange): void;
  /** Called for every message that this pod put into the journal from Pub/Sub. */
  onBridged(event: FeedEvent): void;
  /** Called when Redis may have lost what was kept there about connected clients, while the link stayed up. */
  onNewRun(): void;
  /** Called when messages from Pub/Sub were given up. */
  onDropped(count: number, why: 'full' | 'expired'): void;
  readonly onReject: OnReject;
}

/** What the Redis parts are built from. */
export interface RedisPartsOptions {
  readonly target: RedisTarget;
  readonly config: Config;
  /** A name that no other process has. */
  readonly pod: string;
  /** What the newest entries may take in memory. */
  readonly ringBytes: number;
  readonly listener: RedisPartsListener;
  readonly log: Logger;
}

/** How long a message may take from one node of a cluster to another. */
const CLUSTER_SPREAD_MS = 1000;

/** How often it is checked whether Redis is still the one it was, and how much it has room for. */
const LOOK_EVERY_MS = 60_000;

/** After the start: time for replicas that start together with this pod to connect. */
const COUNT_REPLICAS_AFTER_MS = 1000;

/** The parts that exist only with Redis, connected with each other. */
export class RedisParts {
  readonly journal: RedisJournal;
  readonly bridge: Bridge;
  readonly rejections: Rejections;
  readonly adapter: AdapterFactory;
  /** Pods of version 0.1 beside this one; on a cluster they are not looked for. */
  readonly formerPods: FormerPods | undefined;
  readonly topicStore: RedisTopicStore;
  /** What works of Redis, and what does not, and why. */
  readonly state: RedisState;
  readonly #options: RedisPartsOptions;
  readonly #connections: RedisConnections;
  readonly #commands: RedisCommands;
  /** For what clients cause. */
  readonly #replays: RedisCommands;
  readonly #readerLink: RedisLink<RedisCommands>;
  readonly #subscriptionLink: RedisLink<Redis>;
  /** The Pub/Sub channel on which bridges test their own subscription. */
  readonly #canaryChannel: string;
  /** What the channels between pods begin with. */
  readonly #adapterKey: string;
  /** On a cluster: what emitters publish, for the adapter. */
  readonly #emitters: HandedOn;
  readonly #reachable = new Set<() => void>();
  readonly #lookTimer: NodeJS.Timeout;

  constructor(options: RedisPartsOptions) {
    const { target, config, pod, listener, log } = options;
    this.#options = options;
    this.state = new RedisState({ aspects: ['read', 'heard', 'append'], log });
    this.state.onChange((change) => listener.onRedis(change));
    this.#canaryChannel = `{${config.redisKeyPrefix}}:canary`;
    this.#adapterKey = adapterKey(config.redisKeyPrefix, target.kind === 'cluster' ? 0 : target.db);
    this.#emitters = new HandedOn(this.#adapterKey);
    this.#connections = new RedisConnections(target, `signal-gateway:${pod}`);
    this.#commands = this.#connections.commands('commands', { queue: false });
    this.#replays = this.#connections.commands('replay', { queue: false });
    const subscriber = this.#connections.commands('adapter', { queue: true });
    this.formerPods = this.#buildFormerPods(subscriber);
    this.adapter = this.#buildAdapter(subscriber);
    const load = scriptLoader(this.#commands);
    this.topicStore = new RedisTopicStore(load, config.redisKeyPrefix);
    this.journal = this.#buildJournal();
    this.#readerLink = this.#buildReaderLink();
    this.bridge = this.#buildBridge();
    this.rejections = new Rejections({
      onReject: listener.onReject,
      store: new RedisRejectionStore(load, config.redisKeyPrefix, pod),
      isReporter: () => this.bridge.speaks,
      log,
    });
    this.#subscriptionLink = this.#buildSubscriptionLink();
    this.#lookTimer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Whether all connections are up that the bridge needs; the journal may refuse appends. */
  get linked(): boolean {
    return this.state.has('read') && this.state.has('heard') && this.#commands.status === 'ready';
  }

  /** Calls back whenever a part of the link to Redis is up again. */
  onReachable(listener: () => void): void {
    this.#reachable.add(listener);
  }

  start(): void {
    const { target, config, log } = this.#options;
    if (target.kind !== 'cluster' && target.db !== 0) {
      log.warn(
        { database: target.db, channels: [config.signalChannel, config.statusChannel] },
        'the number of the database separates keys, and not Pub/Sub: what is published on these channels reaches the gateways of all databases',
      );
    }
    this.#readerLink.start();
    this.bridge.start();
  }

  /** Hands the bridge over; reading goes on. */
  async retire(): Promise<void> {
    await this.bridge.retire();
  }

  /** Stops bridging and reading. May be called twice. */
  async stop(): Promise<void> {
    clearInterval(this.#lookTimer);
    this.formerPods?.close();
    this.state.stop();
    await this.bridge.stop();
    await Promise.all([this.#subscriptionLink.stop(), this.#readerLink.stop()]);
  }

  /** Closes every connection that is left. */
  close(): void {
    this.#connections.close();
  }

  #buildAdapter(subscriber: RedisCommands): AdapterFactory {
    const { config, log } = this.#options;
    const commands = this.#commands;
    const { isCluster } = this.#connections;
    for (const connection of [commands, subscriber, this.#replays]) {
      // The links watch Redis and report it; these would say the same once more.
      connection.on('error', (error: Error) => log.debug({ reason: messageOf(error) }, 'Redis connection error'));
    }
    this.#watchCommands(commands);
    return redisAdapter({
      prefix: config.redisKeyPrefix,
      key: this.#adapterKey,
      publish: commands,
      subscribe: subscriber,
      isCluster,
      ...(isCluster && { emitters: this.#emitters }),
      ...(this.formerPods && { former: this.formerPods }),
      log,
    });
  }

  #buildFormerPods(subscriber: RedisCommands): FormerPods | undefined {
    const commands = this.#commands;
    if (!(subscriber instanceof Redis && commands instanceof Redis)) return undefined;
    return new FormerPods({
      publish: commands,
      subscribe: subscriber,
      epoch: () => this.journal.head().epoch,
      log: this.#options.log,
    });
  }

  /** Tells when the connection for commands is lost, with the reason that the tries to connect again give, and back. */
  #watchCommands(commands: RedisCommands): void {
    commands.on('ready', () => {
      this.#look();
      this.#linkChanged('append', true);
    });
    const explain = (error: Error): void => void this.#explainCommands(error);
    commands.on('close', () => {
      const closed = new Error('the connection was closed');
      // Told at once; at start it is not yet known that anything is wrong.
      if (this.state.has('append')) this.#linkChanged('append', false, faultOf(closed));
      explain(closed);
    });
    commands.on('error', explain);
  }

  /** Tells why the connection for commands cannot be made, if it still cannot. */
  async #explainCommands(error: Error): Promise<void> {
    const isReady = (): boolean => this.#commands.status === 'ready';
    if (isReady()) return;
    const explained = await this.#connections.explain(error);
    if (!isReady()) this.#linkChanged('append', false, faultOf(explained));
  }

  #buildJournal(): RedisJournal {
    const { config, pod, ringBytes, listener, log } = this.#options;
    return new RedisJournal({
      commands: this.#commands,
      replays: this.#replays,
      keyPrefix: config.redisKeyPrefix,
      pod,
      maxlen: config.journalMaxEntries,
      ringBytes,
      kept: this.#buildKept(),
      listener: {
        onEntry: (entry, since) => {
          listener.onEntry(entry, isBridged(entry) ? this.bridge.seen(entry) : since);
        },
        onGap: (reason, requested, resumed) => {
          this.bridge.skipped();
          listener.onGap(reason, requested, resumed);
        },
        onDeleted: (entry) => listener.onDeleted?.(entry),
        room: () => listener.room?.(),
        onJoined: (former, head, statuses) => {
          listener.onStatuses(statuses);
          // Clients that were served before this pod knew the journal had no place in it; now they get one.
          listener.onGap('epoch', former, head);
        },
      },
      log,
    });
  }

  /** Connections of their own for appends that wait for replicas: the wait holds up whatever comes behind it. */
  #buildKept(): RedisJournalOptions['kept'] {
    const { config, log } = this.#options;
    const minReplicas = config.journalMinReplicas;
    if (minReplicas === 0) return undefined;
    const lanes = Array.from({ length: WAIT_LANES }, (_, index) =>
      this.#connections.commands(`kept-${index + 1}`, { queue: false }),
    );
    for (const lane of lanes)
      lane.on('error', (error: Error) => log.debug({ reason: messageOf(error) }, 'Redis connection error'));
    lanes[0]?.once('ready', () => {
      setTimeout(() => void this.#countReplicas(minReplicas), COUNT_REPLICAS_AFTER_MS).unref();
    });
    return { minReplicas, lanes };
  }

  async #countReplicas(needed: number): Promise<void> {
    // The link reports what is wrong with Redis.
    const replicas = await this.journal.replicaWait?.answering().catch(() => undefined);
    if (replicas === undefined || replicas >= needed) return;
    this.#options.log.warn(
      { replicas, needed },
      'Redis has fewer replicas than JOURNAL_MIN_REPLICAS asks for; publishing over HTTP is answered 503 until they connect',
    );
  }

  #buildReaderLink(): RedisLink<RedisCommands> {
    return new RedisLink<RedisCommands>({
      purpose: 'journal',
      connect: () => this.#connections.keyed('reader'),
      explain: (error) => this.#connections.explain(error),
      session: async (redis, up) => {
        await this.#requireSupport(redis);
        return this.journal.reader.session(redis, up);
      },
      onLink: (up, error) => {
        // Not before: what is heard must come out of the journal after this pod has joined it, or the bridge would take it
        // for missing (docs/ordering.md).
        if (up) this.#subscriptionLink.start();
        this.#linkChanged('read', up, faultOf(error));
      },
      log: this.#options.log,
    });
  }

  /** @throws {@link RedisFaultError} where Redis lacks what is used of it; {@link RedisState} logs it */
  async #requireSupport(redis: RedisCommands): Promise<void> {
    const { target, config } = this.#options;
    const fault = await unsupported(redis, { kind: target.kind, minReplicas: config.journalMinReplicas });
    if (fault !== undefined) throw new RedisFaultError(fault);
  }

  #buildBridge(): Bridge {
    const { listener, log } = this.#options;
    const { isCluster } = this.#connections;
    return new Bridge({
      journal: this.journal,
      lease: this.journal.lease,
      newId: bridgedId,
      publishCanary: async (text) => {
        const hearers = await this.#commands.publish(this.#canaryChannel, text);
        // A node of a cluster counts its own subscribers only.
        return isCluster ? undefined : hearers;
      },
      publishObjection: (text) => this.#connections.publish(this.#canaryChannel, text),
      spreadMs: isCluster ? CLUSTER_SPREAD_MS : 0,
      renewSubscription: () => this.#subscriptionLink.renew(),
      onAppended: (messages) => {
        for (const { message } of messages) listener.onBridged(message.event);
      },
      onDropped: (count, why) => listener.onDropped(count, why),
      log,
    });
  }

  #buildSubscriptionLink(): RedisLink<Redis> {
    const { config, log } = this.#options;
    const intake = new Intake(config.maxSignalBytes, this.rejections, (message) => this.bridge.heard(message));
    const events: ReadonlyMap<string, FeedEvent> = new Map([
      [config.signalChannel, 'new_signal'],
      [config.statusChannel, 'status_update'],
    ]);
    const onMessage = (channel: string, bytes: Buffer): void => {
      const event = events.get(channel);
      if (event !== undefined) intake.take(event, bytes);
      else if (channel === this.#canaryChannel) this.bridge.heardCanary(bytes.toString());
    };
    const channels = [...events.keys(), this.#canaryChannel];
    // The nodes of a cluster tell each other what is published; only what is sharded needs the adapter's own subscription.
    const pattern = {
      name: `{${config.redisKeyPrefix}}:*`,
      onMessage: (channel: string, bytes: Buffer) => this.#emitters.take(channel, bytes),
    };
    return new RedisLink<Redis>({
      purpose: 'subscription',
      connect: () => this.#connections.single('subscriber'),
      explain: (error) => this.#connections.explain(error),
      session: (redis, up) =>
        subscription(redis, up, {
          channels,
          onMessage,
          begin: () => this.#claimDatabase(redis),
          ...(this.#connections.isCluster && { pattern }),
        }),
      onLink: (up, error) => {
        if (up) this.bridge.resubscribed();
        this.#linkChanged('heard', up, faultOf(error));
      },
      log,
    });
  }

  async #claimDatabase(subscriber: Redis): Promise<void> {
    const { target, config } = this.#options;
    const commands = this.#commands;
    // A cluster has no numbers.
    if (target.kind === 'cluster' || !(commands instanceof Redis)) return;
    await claimDatabase(subscriber, commands, { prefix: config.redisKeyPrefix, db: target.db });
  }

  /** Looks what Redis has room for, and tells if it is another one than before. */
  #look(): void {
    this.topicStore.look().then(
      (isNewRun) => isNewRun && this.#options.listener.onNewRun(),
      // The link reports it, and looks again when it is back.
      () => {},
    );
  }

  /** Notes that a connection is up or lost. @param fault - why it is lost */
  #linkChanged(aspect: RedisAspect, up: boolean, fault?: RedisFault): void {
    if (up) {
      this.state.back(aspect);
      for (const listener of this.#reachable) listener();
    } else if (fault !== undefined) this.state.lost(aspect, fault);
    // One of several that comes up while another is still down is no news.
    if (!up || this.linked) this.bridge.setLink(this.linked);
    if (up && this.linked) void this.formerPods?.look();
  }
}
