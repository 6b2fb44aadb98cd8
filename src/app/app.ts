import { setTimeout as sleep } from 'node:timers/promises';
import type { TemplatedApp } from 'uWebSockets.js';
import { Documents } from '../admin/documents.js';
import { Checkpoints } from '../delivery/checkpoints.js';
import { FeedDelivery } from '../delivery/delivery.js';
import type { CertificateWatch } from '../http/certificate-watch.js';
import type { FaultStage } from '../http/error-boundary.js';
import { listen } from '../http/listener.js';
import type { PublicApp } from '../http/public-app.js';
import { describeRedis } from '../redis/url.js';
import { version } from '../version.js';
import type { FeedServer } from '../websocket/feed-socket.js';
import type { WebSocketManager } from '../websocket/websocket-manager.js';
import { type BannerFacts, dashboardLink } from './banner.js';
import { type AppOptions, type Base, buildBase } from './base.js';
import { buildAdminApp } from './build-admin-app.js';
import { type JournalParts, buildJournal } from './build-journal.js';
import { addPages, buildCertificateWatch, buildPublicApp } from './build-public-app.js';
import { buildWebSocket } from './build-websocket.js';
import { gaugesOf } from './gauges.js';
import {
  acceptObserver,
  fanoutObserver,
  httpRejectObserver,
  notReplicatedObserver,
  servedObserver,
} from './observers.js';
import { PodState } from './pod-state.js';
import { publisherInto } from './publisher.js';
import { type ShutdownStep, runShutdown } from './shutdown.js';

/** Added to the time that the drain is spread over: the last clients need a moment to notice it. */
const DRAIN_END_MS = 2500;

/**
 * The gateway: builds every part and connects them. The only place that knows them all.
 *
 * One a process, since uWebSockets.js shares its loop between apps.
 */
export class App {
  readonly #base: Base;
  readonly #journal: JournalParts;
  readonly #delivery: FeedDelivery;
  readonly #checkpoints: Checkpoints;
  readonly #state: PodState;
  readonly #publicApp: PublicApp;
  readonly #certificate: CertificateWatch | undefined;
  readonly #websocket: WebSocketManager;
  readonly #adminApp: TemplatedApp;
  /** What the dashboard publishes with; `undefined` where there is no dashboard, or `API_KEY` is set. */
  readonly #publishToken: string | undefined;
  #stopping: Promise<void> | undefined;
  readonly #hurry = new AbortController();

  constructor(options: AppOptions) {
    const base = buildBase(options);
    const { metrics, memory, pod } = base;
    const websocket = (): WebSocketManager => this.#websocket;
    const delivery = buildDelivery(base);
    const parts = buildJournal(base, delivery, () => websocket().renewKept());
    const { journal, rejections, redis } = parts;
    const state = new PodState({ pod, memory, journal, redis, websocket });
    const publicApp = buildPublicApp(base);
    this.#base = base;
    this.#journal = parts;
    this.#state = state;
    this.#publicApp = publicApp;
    this.#checkpoints = new Checkpoints(delivery, () => delivery.fanout.place);
    this.#delivery = delivery;
    this.#certificate = buildCertificateWatch(base, publicApp);
    this.#websocket = buildWebSocket(base, { publicApp, delivery, journal, redis, describe: () => state.info() });
    delivery.connect({ journal, rooms: this.#websocket });
    delivery.fanout.begin(journal.head());
    const publishing = {
      publisher: publisherInto(journal, {
        onAccepted: acceptObserver(metrics, 'http'),
        onNotReplicated: notReplicatedObserver(base.log, metrics),
        whyLost: () => redis?.state.appendFault?.reason,
      }),
      onRejected: httpRejectObserver(rejections),
      documents: new Documents(version()),
    };
    this.#publishToken = addPages(base, publicApp, { ...publishing, describe: () => state.dashboardInfo() });
    this.#adminApp = buildAdminApp(base, {
      ...publishing,
      journal,
      redis,
      pods: this.#websocket.pods,
      readiness: { reasons: () => state.notReady(), causes: () => state.redisCauses() },
    });
    metrics.watch(
      gaugesOf({ websocket: this.#websocket, delivery, state, memory, journal, redis, certificate: this.#certificate }),
    );
  }

  /**
   * Listens and begins to read. Resolves when both ports serve; the link to Redis may come later (see `/readyz`).
   *
   * @throws {@link StartError} when a port cannot be used
   */
  async start(): Promise<BannerFacts> {
    const { uws, config } = this.#base;
    const { host, adminHost } = config;
    const admin = await listen(uws, this.#adminApp, { host: adminHost, port: config.adminPort, role: 'ADMIN_PORT' });
    const port = await this.#publicApp.listen(host, config.port);
    await this.#certificate?.start();
    this.#journal.redis?.start();
    this.#checkpoints.start();
    if (this.#state.phase === 'starting') this.#state.phase = 'serving';
    const facts = this.#facts(port, admin.port);
    this.#logStart(facts);
    return facts;
  }

  /** The Socket.IO server, for your own emits; they reach the clients of every pod. */
  get sio(): FeedServer {
    return this.#websocket.sio;
  }

  /** Counts and logs an error that nobody handled. */
  noteFault(stage: FaultStage, error: unknown): void {
    this.#base.boundary.fault({ stage, subject: 'the process', error });
  }

  /** The newest requests, for the last words of a process. */
  recentRequests(): readonly string[] {
    return this.#base.boundary.recent();
  }

  /**
   * Stops everything, in order; every step runs even if one before it failed. May be called twice.
   *
   * The clients are disconnected over a time, and are served until then: see {@link hurry}.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Skips the waits of a stop, now or later: all clients are disconnected at once. May be called twice. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** The order of the steps is a rule of docs/ordering.md. */
  #stop(): Promise<void> {
    this.#state.phase = 'stopping';
    this.#base.memory.close();
    this.#certificate?.stop();
    this.#base.refusals.close();
    return runShutdown(this.#shutdownSteps(), this.#base.log);
  }

  /** Their order is a promise to clients (docs/ordering.md). */
  #shutdownSteps(): ShutdownStep[] {
    const { drainDelayMs, drainDurationMs } = this.#base.config;
    const { redis } = this.#journal;
    return [
      // Load balancers need a moment to notice that this pod is not ready; clients that they still send are taken.
      { name: 'wait for the load balancers', takesMs: drainDelayMs, run: () => this.#pause(drainDelayMs) },
      { name: 'refuse new clients', run: () => this.#websocket.refuseNew() },
      // Before the clients leave, so that another pod is the bridge by then; this one still reads for its clients.
      { name: 'hand the bridge over', run: () => redis?.retire() },
      {
        name: 'disconnect the clients',
        takesMs: drainDurationMs + DRAIN_END_MS,
        run: () => this.#drain(drainDurationMs),
      },
      { name: 'stop listening', run: () => this.#publicApp.stopListening() },
      { name: 'close the clients', run: () => this.#websocket.close() },
      { name: 'end the checkpoints', run: () => this.#checkpoints.stop() },
      { name: 'end the replays', run: () => this.#delivery.scheduler.close() },
      { name: 'stop reading', run: () => redis?.stop() },
      { name: 'close Redis', run: () => redis?.close() },
      { name: 'close the public app', run: () => this.#publicApp.close() },
      // The admin port goes last: health checks should see "draining", not a closed port.
      { name: 'close the admin app', run: () => this.#adminApp.close() },
    ];
  }

  async #pause(durationMs: number): Promise<void> {
    await sleep(durationMs, undefined, { signal: this.#hurry.signal }).catch(() => {});
  }

  async #drain(durationMs: number): Promise<void> {
    const clients = this.#websocket.connections;
    this.#base.log.info({ clients, seconds: durationMs / 1000 }, 'disconnecting the clients');
    await this.#websocket.drain({
      durationMs,
      hurry: this.#hurry.signal,
      // Until then a request of a polling client may need a TCP connection; new clients get 503 on it.
      onNoPolling: () => this.#publicApp.stopListening(),
    });
  }

  #facts(port: number, adminPort: number): BannerFacts {
    const { host, adminHost, redis, signalChannel, apiKeys, tls, dashboard, basePath } = this.#base.config;
    return {
      version: version(),
      tls: tls !== undefined,
      host,
      port,
      adminHost,
      adminPort,
      redis,
      signalChannel,
      needsKey: apiKeys.length > 0,
      dashboard,
      publishToken: this.#publishToken,
      basePath,
    };
  }

  #logStart(facts: BannerFacts): void {
    const { log } = this.#base;
    const { host, port, adminHost, adminPort, redis } = facts;
    log.info(
      { host, port, adminHost, adminPort, redis: redis && describeRedis(redis), version: facts.version },
      'serving',
    );
    if (facts.publishToken !== undefined)
      log.info({ dashboard: dashboardLink(facts) }, 'anyone who opens this link can publish from the dashboard');
  }
}

function buildDelivery({ config, log, metrics }: Base): FeedDelivery {
  return new FeedDelivery({
    maxBackpressureBytes: config.maxBackpressureBytes,
    slowTimeoutMs: config.slowTimeoutMs,
    onDelivered: fanoutObserver(metrics),
    onServed: servedObserver(metrics),
    log,
  });
}
