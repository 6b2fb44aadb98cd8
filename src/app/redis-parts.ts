import type { Redis } from 'ioredis';
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
import { RedisJournal } from '../journal/redis-journal.js';
import { scriptLoader } from '../redis/lua-script.js';
import { type RedisCommands, RedisConnections } from '../redis/connections.js';
import { RedisLink } from '../redis/link.js';
import type { RedisTarget } from '../redis/url.js';
import { type AdapterFactory, redisAdapter } from '../websocket/adapter.js';
import { RedisTopicStore } from '../delivery/redis-topic-store.js';

/** Whom the parts with Redis tell. */
export interface RedisPartsListener extends JournalListener {
  onStatuses(statuses: readonly StatusEntry[]): void;
  /** Told when everything that needs Redis is in force, and when something of it is lost. */
  onLink(up: boolean): void;
  /** Told of every message that this pod put into the journal from Pub/Sub. */
  onBridged(event: FeedEvent): void;
  /** Told of messages from Pub/Sub that were given up. */
  onDropped(count: number, why: 'full' | 'expired'): void;
  readonly onReject: OnReject;
}

/** How long a message may take from a node of a cluster to another. */
const CLUSTER_SPREAD_MS = 1000;

/** The parts that exist only with Redis, connected with each other. */
export class RedisParts {
  readonly journal: RedisJournal;
  readonly bridge: Bridge;
  readonly rejections: Rejections;
  readonly adapter: AdapterFactory;
  readonly topicStore: RedisTopicStore;
  readonly #connections: RedisConnections;
  readonly #readerLink: RedisLink<RedisCommands>;
  readonly #subscriptionLink: RedisLink<Redis>;
  readonly #listener: RedisPartsListener;
  readonly #commands: RedisCommands;
  #readerUp = false;
  #subscribed = false;

  /** @param pod - a name that no other process has */
  constructor(target: RedisTarget, config: Config, pod: string, listener: RedisPartsListener, log: Logger) {
    this.#listener = listener;
    const connections = new RedisConnections(target, `signal-gateway:${pod}`);
    this.#connections = connections;
    const commands = connections.commands('commands', { queue: false });
    this.#commands = commands;
    const adapterSubscriber = connections.commands('adapter', { queue: true });
    for (const connection of [commands, adapterSubscriber]) {
      // The links below watch Redis and report it; these would say the same once more.
      connection.on('error', (error: Error) => log.debug({ reason: messageOf(error) }, 'Redis connection error'));
    }
    // It may be the last one to be back.
    commands.on('ready', () => this.#linkChanged(true));
    this.adapter = redisAdapter({
      publish: commands,
      subscribe: adapterSubscriber,
      isCluster: connections.isCluster,
      log,
    });

    const load = scriptLoader(commands);
    this.topicStore = new RedisTopicStore(load, config.redisKeyPrefix);

    const { redisKeyPrefix, signalChannel, statusChannel } = config;
    this.journal = new RedisJournal({
      commands,
      keyPrefix: redisKeyPrefix,
      pod,
      maxlen: config.journalMaxlen,
      listener: {
        onEntry: (entry, since) => {
          listener.onEntry(entry, isBridged(entry) ? this.bridge.seen(entry) : since);
        },
        onGap: (reason, requested, resumed) => {
          this.bridge.skipped();
          listener.onGap(reason, requested, resumed);
        },
        onDeleted: (entry) => listener.onDeleted?.(entry),
        onJoined: (former, head, statuses) => {
          listener.onStatuses(statuses);
          // Whoever was served before this pod knew the journal was nowhere in it, and is told where it is now.
          listener.onGap('epoch', former, head);
        },
      },
      log,
    });
    this.#readerLink = new RedisLink<RedisCommands>({
      purpose: 'journal',
      connect: () => connections.keyed('reader'),
      session: (redis, up) => this.journal.reader.session(redis, up),
      onLink: (up) => {
        this.#readerUp = up;
        // Not before: what is heard has to come out of the journal after this pod has joined it, or the bridge would
        // take it for missing.
        if (up) this.#subscriptionLink.start();
        this.#linkChanged(up);
      },
      log,
    });

    const canaryChannel = `{${redisKeyPrefix}}:canary`;
    this.bridge = new Bridge({
      journal: this.journal,
      lease: this.journal.lease,
      newId: bridgedId,
      // On a cluster Redis counts those on one node.
      publishCanary: async (text) => {
        const hearers = await commands.publish(canaryChannel, text);
        return connections.isCluster ? undefined : hearers;
      },
      publishObjection: (text) => connections.publish(canaryChannel, text),
      spreadMs: connections.isCluster ? CLUSTER_SPREAD_MS : 0,
      renewSubscription: () => this.#subscriptionLink.renew(),
      onAppended: (messages) => {
        for (const { message } of messages) listener.onBridged(message.event);
      },
      onDropped: (count, why) => listener.onDropped(count, why),
      log,
    });
    this.rejections = new Rejections({
      onReject: listener.onReject,
      store: new RedisRejectionStore(load, redisKeyPrefix, pod),
      isReporter: () => this.bridge.speaks,
      log,
    });
    const intake = new Intake(config.maxSignalBytes, this.rejections, (message) => this.bridge.heard(message));
    const events: ReadonlyMap<string, FeedEvent> = new Map([
      [signalChannel, 'new_signal'],
      [statusChannel, 'status_update'],
    ]);
    const onMessage = (channel: string, bytes: Buffer): void => {
      const event = events.get(channel);
      if (event !== undefined) intake.take(event, bytes);
      else if (channel === canaryChannel) this.bridge.heardCanary(bytes.toString());
    };
    this.#subscriptionLink = new RedisLink<Redis>({
      purpose: 'subscription',
      connect: () => connections.single('subscriber'),
      session: (redis, up) => subscription(redis, up, { channels: [...events.keys(), canaryChannel], onMessage }),
      onLink: (up) => {
        if (up) this.bridge.resubscribed();
        this.#subscribed = up;
        this.#linkChanged(up);
      },
      log,
    });
  }

  /** Whether everything that needs Redis is in force. */
  get linked(): boolean {
    return this.#readerUp && this.#subscribed && this.#commands.status === 'ready';
  }

  start(): void {
    this.#readerLink.start();
    this.bridge.start();
  }

  /** Hands the bridge over; reading goes on. */
  async retire(): Promise<void> {
    await this.bridge.retire();
  }

  /** Stops bridging and reading. May be called twice. */
  async stop(): Promise<void> {
    await this.bridge.stop();
    await Promise.all([this.#subscriptionLink.stop(), this.#readerLink.stop()]);
  }

  /** Closes every connection that is left. */
  close(): void {
    this.#connections.close();
  }

  #linkChanged(up: boolean): void {
    // One of two links coming up while the other is still on its way is no news.
    if (up && !this.linked) return;
    this.bridge.setLink(this.linked);
    this.#listener.onLink(this.linked);
  }
}
