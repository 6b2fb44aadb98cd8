import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { TemplatedApp } from 'uWebSockets.js';
import { publishGuard } from '../admin/access.js';
import { controlRoutes } from '../admin/control.js';
import { Documents } from '../admin/documents.js';
import type { PodInfo } from '../admin/answers.js';
import { type NotReadyReason, healthRoutes } from '../admin/health.js';
import { serveRoutes } from '../http/router.js';
import { journalRoutes } from '../admin/journal-routes.js';
import { Metrics } from '../admin/metrics.js';
import { type OnRejected, type Publisher, publishRoutes } from '../admin/publish.js';
import { serveDashboard } from './dashboard.js';
import {
  ADMIN_ANSWERS,
  connectionEvents,
  dropObserver,
  faultObserver,
  linkAnnouncer,
  publicAnswers,
  wrongTokenObserver,
} from './observers.js';
import { publisherInto } from './publisher.js';
import { RedisParts } from './redis-parts.js';
import { type BannerFacts, dashboardLink } from './banner.js';
import { CertificateWatch } from '../http/certificate-watch.js';
import type { Config } from '../config/config.js';
import { formatOffset } from '../contract/offset.js';
import { encodeEntry } from '../contract/packet.js';
import { Checkpoints } from '../delivery/checkpoints.js';
import { Fanout } from '../delivery/fanout.js';
import { listen } from '../http/listener.js';
import { ErrorBoundary, type FaultStage } from '../http/error-boundary.js';
import { GuardedApp } from '../http/guarded-app.js';
import { Rejections } from '../ingest/rejections.js';
import type { DeletingJournal, Journal, JournalListener, IdempotentJournal } from '../journal/journal.js';
import { MemoryJournal } from '../journal/memory-journal.js';
import { PublicApp } from '../http/public-app.js';
import { describeRedis } from '../redis/url.js';
import { type ShutdownStep, runShutdown } from './shutdown.js';
import { type Uws, compressor, uwsVersion } from '../http/uws.js';
import { version } from '../version.js';
import type { FeedServer } from '../websocket/feed-socket.js';
import { MemoryPressure } from '../access/memory-pressure.js';
import { OriginPolicy } from '../access/origin-policy.js';
import { RefusalLog } from '../access/refusal-log.js';
import { MemoryTopicStore } from '../delivery/topic-store.js';
import { WebSocketManager } from '../websocket/websocket-manager.js';

/** Beyond the time that the drain is spread over: the last clients need a moment to hear of it. */
const DRAIN_END_MS = 2500;

/**
 * The gateway: builds every part and connects them. The only place that knows them all.
 *
 * One a process, since uWebSockets.js shares its loop between apps.
 */
export class App {
  readonly #config: Config;
  readonly #uws: Uws;
  readonly #log: Logger;
  readonly #metrics = new Metrics({ version: version(), uws: uwsVersion() });
  readonly #boundary: ErrorBoundary;
  readonly #refusals: RefusalLog;
  readonly #origins: OriginPolicy;
  readonly #fanout: Fanout;
  readonly #checkpoints: Checkpoints;
  readonly #journal: Journal & IdempotentJournal & DeletingJournal;
  readonly #pod: string;
  readonly #started = Date.now();
  readonly #documents = new Documents(version());
  readonly #redis: RedisParts | undefined;
  readonly #rejections: Rejections;
  readonly #memory: MemoryPressure;
  readonly #websocket: WebSocketManager;
  readonly #publicApp: PublicApp;
  readonly #certificate: CertificateWatch | undefined;
  readonly #adminApp: TemplatedApp;
  /** What the dashboard publishes with; `undefined` where there is no dashboard, or a key in its place. */
  #publishToken: string | undefined;
  #state: 'starting' | 'serving' | 'stopping' = 'starting';
  #stopping: Promise<void> | undefined;
  readonly #hurry = new AbortController();

  /** @param pod - a name that no other process has */
  constructor(config: Config, uws: Uws, log: Logger, pod: string) {
    this.#config = config;
    this.#uws = uws;
    this.#log = log;
    this.#pod = pod;
    this.#boundary = new ErrorBoundary(faultObserver(log, this.#metrics));
    this.#refusals = new RefusalLog(log);
    this.#origins = new OriginPolicy(config.corsOrigins);

    this.#fanout = new Fanout(
      { publish: (rooms, packet) => this.#websocket.publish(rooms, packet) },
      ({ clients, seconds, age }) => {
        this.#metrics.deliveries.inc(clients);
        this.#metrics.fanout.observe(seconds);
        if (age !== undefined) this.#metrics.publishToFanout.observe(age);
      },
    );
    const listener: JournalListener = {
      onEntry: (entry, since) => this.#fanout.deliver(entry, since),
      onGap: (reason, requested, resumed) => this.#fanout.gap(reason, requested, resumed),
      onDeleted: (entry) => this.#fanout.forget(entry),
    };
    if (config.redis === undefined) {
      this.#journal = new MemoryJournal(config.journalMaxlen, listener);
      this.#rejections = new Rejections(
        log,
        (source, event, reason) => this.#metrics.rejected.inc({ source, event, reason }),
        undefined,
        () => true,
      );
    } else {
      this.#redis = new RedisParts(
        config.redis,
        config,
        pod,
        {
          ...listener,
          onStatuses: (statuses) => this.#fanout.remember(statuses),
          onLink: linkAnnouncer(this.#fanout, () => this.#websocket.renewKept()),
          onBridged: (event) => this.#metrics.accepted.inc({ source: 'pubsub', event }),
          onDropped: dropObserver(log, this.#metrics),
          onReject: (source, event, reason) => this.#metrics.rejected.inc({ source, event, reason }),
        },
        log,
      );
      this.#journal = this.#redis.journal;
      this.#rejections = this.#redis.rejections;
    }
    this.#checkpoints = new Checkpoints(this.#fanout, () => this.#journal.head());
    this.#memory = new MemoryPressure(config.limits.maxMemoryPercent, config.limits.memoryLimit);
    this.#publicApp = new PublicApp(uws, config.tls, {
      ...publicAnswers(this.#origins, this.#metrics, this.#refusals),
      boundary: this.#boundary,
      basePath: config.basePath,
      maxHeaderBytes: config.maxHeaderBytes,
    });
    if (config.tls !== undefined) this.#certificate = this.#watchCertificate(config.tls);
    this.#websocket = this.#buildWebSocket(this.#publicApp);
    const publisher = publisherInto(this.#journal, (event) => this.#metrics.accepted.inc({ source: 'http', event }));
    const onRejected: OnRejected = (...rejected) => this.#rejections.note('http', ...rejected);
    this.#addPages(publisher, onRejected);
    this.#adminApp = this.#buildAdmin(publisher, onRejected);
    this.#metrics.watch({
      connections: () => this.#websocket.transports(),
      sessions: () => this.#websocket.connections,
      bufferedBytes: () => this.#websocket.bufferedBytes(),
      draining: () => (this.#state === 'stopping' ? 1 : 0),
      memoryShare: () => this.#memory.share,
      journalSeq: () => this.#journal.head().seq,
      certificateEnd: this.#certificate && (() => (this.#certificate?.notAfter ?? 0) / 1000),
      redis: this.#redis && {
        up: () => (this.#redis?.linked === true ? 1 : 0),
        bridging: () => (this.#redis?.bridge.holding === true ? 1 : 0),
        waiting: () => this.#redis?.bridge.waiting ?? 0,
        lag: () => this.#redis?.journal.reader.lag ?? 0,
        lagSeconds: () => this.#redis?.journal.reader.lagSeconds ?? 0,
      },
    });
  }

  /**
   * Listens and begins to read. Resolves when both ports serve; the link to Redis may come later (see `/readyz`).
   *
   * @throws {@link StartError} when a port can not be had
   */
  async start(): Promise<BannerFacts> {
    const { host, port, adminHost, adminPort, redis, tls, signalChannel, apiKeys } = this.#config;
    const admin = await listen(this.#uws, this.#adminApp, adminHost, adminPort, 'ADMIN_PORT');
    const publicPort = await this.#publicApp.listen(host, port);
    await this.#certificate?.start();
    this.#redis?.start();
    this.#checkpoints.start();
    if (this.#state === 'starting') this.#state = 'serving';
    const facts: BannerFacts = {
      version: version(),
      tls: tls !== undefined,
      host,
      port: publicPort,
      adminHost,
      adminPort: admin.port,
      redis,
      signalChannel,
      needsKey: apiKeys.length > 0,
      dashboard: this.#config.dashboard,
      publishToken: this.#publishToken,
      basePath: this.#config.basePath,
    };
    this.#log.info(
      {
        host,
        port: facts.port,
        adminHost,
        adminPort: facts.adminPort,
        redis: redis && describeRedis(redis),
        version: facts.version,
      },
      'serving',
    );
    if (facts.publishToken !== undefined)
      this.#log.info({ dashboard: dashboardLink(facts) }, 'whoever opens this link may publish from the dashboard');
    return facts;
  }

  /** The Socket.IO server, for emits of one's own; they reach the clients of every pod. */
  get sio(): FeedServer {
    return this.#websocket.sio;
  }

  /** Counts and logs an error that nobody handled. */
  noteFault(stage: FaultStage, error: unknown): void {
    this.#boundary.fault(stage, 'the process', error);
  }

  /** The newest requests, for the last words of a process. */
  recentRequests(): readonly string[] {
    return this.#boundary.recent();
  }

  /**
   * Stops everything, in order; every step runs even if one before it failed. May be called twice.
   *
   * The clients are let go over a time, and are served until then: see {@link hurry}.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  #stop(): Promise<void> {
    this.#state = 'stopping';
    this.#memory.close();
    this.#certificate?.stop();
    this.#refusals.close();
    const { drainDelay, drainDuration } = this.#config;
    const steps: ShutdownStep[] = [
      // Load balancers need a moment to see that this pod is not ready; whom they still send is taken.
      { name: 'wait for the load balancers', takes: drainDelay, run: () => this.#pause(drainDelay) },
      { name: 'refuse new clients', run: () => this.#websocket.refuseNew() },
      // Before the clients go, so that another pod is the bridge by then; this one goes on reading for its clients.
      { name: 'hand the bridge over', run: () => this.#redis?.retire() },
      { name: 'let the clients go', takes: drainDuration + DRAIN_END_MS, run: () => this.#drain(drainDuration) },
      { name: 'stop listening', run: () => this.#publicApp.stopListening() },
      { name: 'close the clients', run: () => this.#websocket.close() },
      { name: 'end the checkpoints', run: () => this.#checkpoints.stop() },
      { name: 'stop reading', run: () => this.#redis?.stop() },
      { name: 'close Redis', run: () => this.#redis?.close() },
      { name: 'close the public app', run: () => this.#publicApp.close() },
      // The admin port goes last: health checks should see "draining", not a closed port.
      { name: 'close the admin app', run: () => this.#adminApp.close() },
    ];
    return runShutdown(steps, this.#log);
  }

  /** Lets a stop, under way or to come, do without its waits: all clients go at once. May be called twice. */
  hurry(): void {
    this.#hurry.abort();
  }

  async #pause(duration: number): Promise<void> {
    await sleep(duration, undefined, { signal: this.#hurry.signal }).catch(() => {});
  }

  async #drain(duration: number): Promise<void> {
    this.#log.info({ clients: this.#websocket.connections, seconds: duration / 1000 }, 'letting the clients go');
    await this.#websocket.drain({
      durationMs: duration,
      hurry: this.#hurry.signal,
      // Until then a request of a polling client may need a TCP connection; new clients get 503 on it.
      onNoPolling: () => this.#publicApp.stopListening(),
    });
  }

  #buildWebSocket(app: PublicApp): WebSocketManager {
    const config = this.#config;
    const manager = new WebSocketManager(app, {
      transports: config.transports,
      pingInterval: config.pingInterval,
      pingTimeout: config.pingTimeout,
      maxPayload: config.maxPayload,
      compression: compressor(this.#uws, config.compression),
      maxBackpressure: config.maxBackpressure,
      welcomeMessage: config.welcomeMessage,
      origins: this.#origins,
      boundary: this.#boundary,
      refusals: this.#refusals,
      limits: config.limits,
      trustProxy: config.trustProxy,
      jwt: config.jwt,
      memory: this.#memory,
      describe: () => this.#describe(),
      connectTimeoutMs: config.connectTimeout,
      ...(this.#redis && {
        adapter: this.#redis.adapter,
        otherPods: { reachable: () => this.#redis?.linked === true },
      }),
      topicStore: this.#redis?.topicStore ?? new MemoryTopicStore(),
      feed: {
        head: () => this.#journal.head(),
        resolve: (offset) => this.#journal.resolve(offset),
        read: (after, limit) => this.#journal.read(after, limit),
        encode: (entry) => encodeEntry(this.#journal.current(entry)),
        statuses: () => this.#fanout.statuses.packets(),
      },
      events: connectionEvents(this.#metrics),
      log: this.#log,
    });
    return manager;
  }

  /** What the public port has beside Socket.IO. */
  #addPages(publisher: Publisher, onRejected: OnRejected): void {
    const { dashboard, apiKeys, maxSignalBytes } = this.#config;
    if (dashboard) {
      this.#publishToken = serveDashboard(this.#publicApp, {
        basePath: this.#config.basePath,
        describe: () => ({
          pod: this.#pod,
          version: version(),
          connections: this.#websocket.connections,
          head: formatOffset(this.#journal.head()),
        }),
        pod: this.#pod,
        apiKeys,
        publisher,
        maxSignalBytes,
        onRejected,
        onWrong: wrongTokenObserver(this.#metrics, this.#refusals),
        log: this.#log,
      });
    }
    this.#publicApp.any('/asyncapi.json', (res, req) => this.#documents.answer(res, req));
  }

  #buildAdmin(publisher: Publisher, onRejected: OnRejected): TemplatedApp {
    const { maxSignalBytes, apiKeys, maxHeaderBytes } = this.#config;
    const app = this.#uws.App();
    const guard = publishGuard(apiKeys);
    serveRoutes(
      new GuardedApp(app, { boundary: this.#boundary, policy: ADMIN_ANSWERS, maxHeaderBytes }),
      [
        ...healthRoutes({ reasons: () => this.#notReady() }),
        this.#metrics.route(),
        ...this.#documents.routes(),
        ...publishRoutes(publisher, guard, maxSignalBytes, onRejected),
        ...controlRoutes(this.#websocket.pods, guard),
        ...journalRoutes(this.#journal, () => this.#redis?.linked !== false, {
          guard,
          hasKeys: apiKeys.length > 0,
          onDeleted: () => this.#metrics.deleted.inc(),
          log: this.#log,
        }),
      ],
      true,
    );
    return app;
  }

  #watchCertificate(tls: NonNullable<Config['tls']>): CertificateWatch {
    return new CertificateWatch({
      ...tls,
      renew: () => this.#publicApp.renew(),
      onResult: (result) => this.#metrics.renewals.inc({ result }),
      log: this.#log,
    });
  }

  /** What this pod says of itself in `GET /v1/info`. */
  #describe(): PodInfo {
    return {
      pod: this.#pod,
      version: version(),
      node: process.version,
      uptime: Math.round((Date.now() - this.#started) / 1000),
      notReady: this.#notReady(),
      connections: this.#websocket.transports(),
      topics: this.#websocket.topics,
      head: formatOffset(this.#journal.head()),
      lag: this.#redis?.journal.lag() ?? 0,
      bridge: this.#redis?.bridge.holding ?? false,
    };
  }

  #notReady(): NotReadyReason[] {
    const reasons: NotReadyReason[] = [];
    if (this.#state === 'starting') reasons.push('starting');
    if (this.#state === 'stopping') reasons.push('draining');
    if (this.#redis?.linked === false) reasons.push('redis');
    if (this.#memory.isHigh) reasons.push('overloaded');
    return reasons;
  }
}
