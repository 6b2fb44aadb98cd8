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
import { AppendWatch } from '../journal/append-watch.js';
import { RedisJournal } from '../journal/redis-journal.js';
import { KeyCare } from '../redis/key-care.js';
import { type RedisCommands, RedisConnections } from '../redis/connections.js';
import { type RedisFault, faultOf } from '../redis/fault.js';
import { claimDatabase } from '../redis/database-marker.js';
import { RedisLink } from '../redis/link.js';
import { requireSupport } from '../redis/requirements.js';
import { type RedisAspect, type RedisChange, RedisState } from '../redis/redis-state.js';
import type { RedisTarget } from '../redis/url.js';
import { keptLanes } from './kept-lanes.js';
import { SourceLinks, sourceStreams } from './source-links.js';
import { RedisTopicStore } from '../delivery/redis-topic-store.js';
import { PodLinks } from './pod-links.js';

/** Callbacks of the Redis parts. */
export interface RedisPartsListener extends JournalListener {
  onStatuses(statuses: readonly StatusEntry[]): void;
  /** Called for every change of the link to Redis. */
  onRedis(change: RedisChange): void;
  /** Called for every message that this pod put into the journal from Pub/Sub. */
  onBridged(event: FeedEvent): void;
  /** Called with how many messages this pod put into the journal from a source stream. */
  onSourced(event: FeedEvent, count: number): void;
  /** Called when entries were taken out of a source stream before they were read. */
  onSourceLost(event: FeedEvent, count: number): void;
  /** Called when Redis may have lost what was kept there about connected clients, while the link stayed up. */
  onNewRun(): void;
  /** Called when messages from Pub/Sub were given up. */
  onDropped(dropped: Dropped): void;
  readonly onReject: OnReject;
}

/** Messages from Pub/Sub that were given up. */
export interface Dropped {
  readonly count: number;
  /** They waited too long, or too many waited. */
  readonly why: 'full' | 'expired';
  /** What is wrong with Redis, if that is known. */
  readonly fault: RedisFault | undefined;
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

/** The parts that exist only with Redis, connected with each other. */
export class RedisParts {
  readonly journal: RedisJournal;
  readonly bridge: Bridge;
  readonly rejections: Rejections;
  /** How this pod reaches the others. */
  readonly pods: PodLinks;
  readonly topicStore: RedisTopicStore;
  /** What works of Redis, and what does not, and why. */
  readonly state: RedisState;
  readonly #options: RedisPartsOptions;
  readonly #connections: RedisConnections;
  readonly #commands: RedisCommands;
  /** For what clients cause. */
  readonly #replays: RedisCommands;
  readonly #appends: AppendWatch;
  readonly #readerLink: RedisLink<RedisCommands>;
  readonly #subscriptionLink: RedisLink<Redis>;
  readonly #sources: SourceLinks;
  /** The Pub/Sub channel on which bridges test their own subscription. */
  readonly #canaryChannel: string;
  readonly #reachable = new Set<() => void>();
  readonly #lookTimer: NodeJS.Timeout;

  constructor(options: RedisPartsOptions) {
    const { target, config, pod, listener, log } = options;
    this.#options = options;
    const sources: readonly RedisAspect[] = sourceStreams(config).length > 0 ? ['sources'] : [];
    this.state = new RedisState({ aspects: ['read', 'heard', 'append', ...sources], log });
    this.state.onChange((change) => listener.onRedis(change));
    this.#canaryChannel = `{${config.redisKeyPrefix}}:canary`;
    this.#connections = new RedisConnections(target, `signal-gateway:${pod}`);
    this.#commands = this.#connections.commands('commands', { queue: false });
    this.#replays = this.#connections.commands('replay', { queue: false });
    this.pods = new PodLinks({
      connections: this.#connections,
      commands: this.#commands,
      target,
      pod,
      prefix: config.redisKeyPrefix,
      epoch: () => this.journal.head().epoch,
      log,
    });
    this.#watchConnections();
    const load = new KeyCare(config.redisKeyPrefix, log).loader(this.#commands);
    this.topicStore = new RedisTopicStore(load, config.redisKeyPrefix);
    this.journal = this.#buildJournal();
    this.#appends = new AppendWatch({ probe: () => this.journal.probe(), state: this.state });
    this.#readerLink = this.#buildReaderLink();
    this.bridge = this.#buildBridge();
    this.rejections = new Rejections({
      onReject: listener.onReject,
      store: new RedisRejectionStore(load, config.redisKeyPrefix, pod),
      isReporter: () => this.bridge.speaks,
      log,
    });
    this.#subscriptionLink = this.#buildSubscriptionLink();
    this.#sources = this.#buildSources();
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
    this.pods.formerPods?.close();
    this.state.stop();
    await this.bridge.stop();
    await this.#appends.stop();
    await Promise.all([this.#subscriptionLink.stop(), this.#sources.stop(), this.#readerLink.stop()]);
  }

  /** Closes every connection that is left. */
  close(): void {
    this.#connections.close();
  }

  /** Tells when the connection for commands is lost, with the reason that the tries to connect again give, and back. */
  #watchConnections(): void {
    const commands = this.#commands;
    for (const connection of [commands, this.pods.subscriber, this.#replays]) {
      // The links watch Redis and report it; these would say the same once more.
      connection.on('error', (error: Error) =>
        this.#options.log.debug({ reason: messageOf(error) }, 'Redis connection error'),
      );
    }
    commands.on('ready', () => {
      this.#look();
      this.#appends.connected();
      this.#reached();
      this.#sources.start();
    });
    commands.on('close', () => {
      this.#commandsLost();
      void this.#explainCommands();
    });
    commands.on('error', (error: Error) => void this.#explainCommands(error));
  }

  /**
   * Tells why the connection for commands cannot be made, if it still cannot.
   *
   * @param error - left out where it just ended: that says less than why an append has failed just before
   */
  async #explainCommands(error?: Error): Promise<void> {
    const isReady = (): boolean => this.#commands.status === 'ready';
    if (isReady()) return;
    const closed = new Error('the connection was closed');
    const explained = await this.#connections.explain(error ?? closed);
    if (!isReady() && explained.message !== closed.message) this.#commandsLost(explained);
  }

  #commandsLost(error?: Error): void {
    this.#appends.disconnected(error);
    this.bridge.setLink(false);
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
      kept: keptLanes({
        connections: this.#connections,
        minReplicas: config.journalMinReplicas,
        answering: () => this.journal.replicaWait?.answering(),
        log,
      }),
      onAppend: (result) => this.#appends.noted(result),
      listener: {
        onEntry: (entry, since) => {
          this.#sources.seen(entry);
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

  #buildReaderLink(): RedisLink<RedisCommands> {
    return new RedisLink<RedisCommands>({
      purpose: 'journal',
      connect: () => this.#connections.keyed('reader'),
      explain: (error) => this.#connections.explain(error),
      session: async (redis, up) => {
        const { target, config } = this.#options;
        const hasSources = sourceStreams(config).length > 0;
        await requireSupport(redis, { kind: target.kind, minReplicas: config.journalMinReplicas, hasSources });
        return this.journal.reader.session(redis, up);
      },
      onLink: (up, error) => {
        // Not before: what is heard must come out of the journal after this pod has joined it, or the bridge would take it
        // for missing (docs/ordering.md).
        if (up) this.#subscriptionLink.start();
        this.#linkChanged('read', up, error);
      },
      log: this.#options.log,
    });
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
      onHolding: () => this.#sources.leaseTaken(),
      onAppended: (messages) => {
        for (const { message } of messages) listener.onBridged(message.event);
      },
      onLease: (error) => this.#appends.lease(error),
      onDropped: (count, why) => listener.onDropped({ count, why, fault: this.state.appendFault }),
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
      onMessage: (channel: string, bytes: Buffer) => this.pods.emitters?.take(channel, bytes),
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
        this.#linkChanged('heard', up, error);
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

  #buildSources(): SourceLinks {
    const { config, listener, log } = this.#options;
    return new SourceLinks({
      config,
      connections: this.#connections,
      journal: this.journal,
      token: () => this.bridge.token,
      state: this.state,
      onSourced: (event, count) => listener.onSourced(event, count),
      onRejected: (rejected) => this.rejections.note('stream', rejected),
      onSourceLost: (event, count) => listener.onSourceLost(event, count),
      log,
    });
  }

  /** Looks what Redis has room for, and tells if it is another one than before. */
  #look(): void {
    this.topicStore.look().then(
      (isNewRun) => isNewRun && this.#options.listener.onNewRun(),
      // The link reports it, and looks again when it is back.
      () => {},
    );
  }

  /** Notes that one of the links is up, or lost. @param error - why it is lost */
  #linkChanged(aspect: RedisAspect, up: boolean, error?: unknown): void {
    if (up) {
      this.state.back(aspect);
      this.#reached();
    } else {
      this.state.lost(aspect, faultOf(error));
      this.bridge.setLink(false);
    }
  }

  /** Notes that one of the connections is up; the last one of them makes the link. */
  #reached(): void {
    for (const listener of this.#reachable) listener();
    // One of several that comes up while another is still down is no news.
    if (!this.linked) return;
    this.bridge.setLink(true);
    void this.pods.formerPods?.look();
  }
}
