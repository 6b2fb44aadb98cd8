import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { TemplatedApp } from 'uWebSockets.js';
import { publishGuard } from './admin/access.js';
import { type NotReadyReason, healthRoutes } from './admin/health.js';
import { serveRoutes } from './admin/http.js';
import { Metrics } from './admin/metrics.js';
import { type Publisher, publishRoutes } from './admin/publish.js';
import type { BannerFacts } from './banner.js';
import type { Config } from './config.js';
import type { FeedMessage } from './contract/decode.js';
import type { FeedEvent } from './contract/events.js';
import { formatOffset } from './contract/offset.js';
import { messageOf } from './errors.js';
import { Fanout } from './fanout/fanout.js';
import { type Listener, listen } from './http-listener.js';
import { Intake } from './ingest/intake.js';
import { RedisPublisher } from './ingest/redis-publisher.js';
import { RedisRejectionStore } from './ingest/redis-rejection-store.js';
import { RedisSubscriber } from './ingest/redis-subscriber.js';
import { Rejections, type Source } from './ingest/rejections.js';
import { MemoryJournal } from './journal/memory-journal.js';
import { type RedisCommands, RedisConnections } from './redis/connections.js';
import { type RedisTarget, describeRedis } from './redis/url.js';
import type { Uws } from './uws.js';
import { redisAdapter } from './websocket/adapter.js';
import { type FeedServer, WebSocketManager } from './websocket/websocket-manager.js';

/** Each step of a stop gets at most this long, so that all of them together end within Kubernetes's patience. */
const STOP_STEP_MS = 1000;

/** Version of this package. */
export function version(): string {
  const { version: text } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return text;
}

/** What exists only with Redis. */
interface RedisParts {
  readonly connections: RedisConnections;
  readonly commands: RedisCommands;
  readonly adapterSubscriber: RedisCommands;
}

/**
 * The gateway: builds every part and connects them. The only place that knows them all.
 *
 * One a process, since uWebSockets.js shares its loop between apps.
 */
export class App {
  readonly #config: Config;
  readonly #uws: Uws;
  readonly #log: Logger;
  readonly #metrics = new Metrics();
  readonly #fanout: Fanout;
  readonly #journal: MemoryJournal;
  readonly #websocket: WebSocketManager;
  readonly #publicApp: TemplatedApp;
  readonly #adminApp: TemplatedApp;
  readonly #redis: RedisParts | undefined;
  readonly #rejections: Rejections;
  readonly #subscriber: RedisSubscriber | undefined;
  readonly #listeners: Listener[] = [];
  #state: 'starting' | 'serving' | 'stopping' = 'starting';
  #linked = false;
  /** What clients were last told of the link; `undefined` while there was nothing to tell. */
  #announced: boolean | undefined;
  #stopping: Promise<void> | undefined;

  /** @param pod - a name that no other process has */
  constructor(config: Config, uws: Uws, log: Logger, pod: string) {
    this.#config = config;
    this.#uws = uws;
    this.#log = log;

    this.#fanout = new Fanout({ publish: (rooms, packet) => this.#websocket.publish(rooms, packet) });
    this.#journal = new MemoryJournal((entry) => this.#fanout.deliver(entry));
    this.#redis = config.redis && this.#connectRedis(config.redis, pod);
    this.#rejections = new Rejections(
      log,
      (source, event, reason) => this.#metrics.rejected.inc({ source, event, reason }),
      this.#redis && new RedisRejectionStore(this.#redis.commands, config.redisKeyPrefix, pod),
    );
    this.#subscriber = this.#redis && this.#buildSubscriber(this.#redis.connections);
    this.#publicApp = config.tls
      ? uws.SSLApp({ cert_file_name: config.tls.certFile, key_file_name: config.tls.keyFile })
      : uws.App();
    this.#websocket = this.#buildWebSocket(this.#publicApp);
    this.#adminApp = this.#buildAdmin();
    this.#metrics.watch({
      connections: () => this.#websocket.transports(),
      sessions: () => this.#websocket.connections,
      redisUp: () => (this.#redis === undefined ? undefined : this.#linked ? 1 : 0),
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
    this.#listeners.push(admin);
    const open = await listen(this.#uws, this.#publicApp, host, port, 'PORT');
    this.#listeners.push(open);
    this.#subscriber?.start();
    this.#state = 'serving';
    const facts: BannerFacts = {
      version: version(),
      tls: tls !== undefined,
      host,
      port: open.port,
      adminHost,
      adminPort: admin.port,
      redis,
      signalChannel,
      needsKey: apiKeys.length > 0,
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
    return facts;
  }

  /** The Socket.IO server, for emits of one's own; they reach the clients of every pod. */
  get sio(): FeedServer {
    return this.#websocket.sio;
  }

  /** Counts an error that nobody handled. */
  noteFault(): void {
    this.#metrics.faults.inc();
  }

  /** Stops everything, in order; every step runs even if one before it failed. May be called twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping';
    const steps: [string, () => unknown][] = [
      ['refuse new clients', () => this.#websocket.refuseNew()],
      // The admin port goes last: health checks should see "draining", not a closed port.
      ['stop listening', () => this.#listeners.at(-1)?.close()],
      ['stop the subscriber', () => this.#subscriber?.stop()],
      ['close the clients', () => this.#websocket.close()],
      ['close Redis', () => this.#redis?.connections.close()],
      ['close the public app', () => this.#publicApp.close()],
      ['close the admin app', () => this.#adminApp.close()],
    ];
    for (const [name, step] of steps) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`took longer than ${STOP_STEP_MS} ms`)), STOP_STEP_MS);
      });
      try {
        await Promise.race([step(), late]);
      } catch (error) {
        this.#log.warn({ step: name, reason: messageOf(error) }, 'a step of the stop failed; going on');
      } finally {
        clearTimeout(timer);
      }
    }
  }

  #connectRedis(target: RedisTarget, pod: string): RedisParts {
    const connections = new RedisConnections(target, `signal-gateway:${pod}`);
    const parts = {
      connections,
      commands: connections.commands('commands', { queue: false }),
      adapterSubscriber: connections.commands('adapter', { queue: true }),
    };
    for (const connection of [parts.commands, parts.adapterSubscriber]) {
      // The subscriber watches the link and reports it; these would say the same once more.
      connection.on('error', (error: Error) => this.#log.debug({ reason: messageOf(error) }, 'Redis connection error'));
    }
    return parts;
  }

  #buildSubscriber(connections: RedisConnections): RedisSubscriber {
    const { signalChannel, statusChannel, maxSignalBytes } = this.#config;
    const intake = new Intake(maxSignalBytes, this.#rejections, (message) => this.#accept('pubsub', message));
    const events: ReadonlyMap<string, FeedEvent> = new Map([
      [signalChannel, 'new_signal'],
      [statusChannel, 'status_update'],
    ]);
    return new RedisSubscriber({
      connect: () => connections.single('subscriber'),
      channels: [...events.keys()],
      onMessage: (channel, bytes) => {
        const event = events.get(channel);
        if (event !== undefined) intake.take(event, bytes);
      },
      onLink: (up) => this.#onLink(up),
      log: this.#log,
    });
  }

  #buildWebSocket(app: TemplatedApp): WebSocketManager {
    const config = this.#config;
    const redis = this.#redis;
    const manager = new WebSocketManager(app, {
      transports: config.transports,
      pingInterval: config.pingInterval,
      pingTimeout: config.pingTimeout,
      maxPayload: config.maxPayload,
      maxBackpressure: config.maxBackpressure,
      welcomeMessage: config.welcomeMessage,
      corsOrigins: config.corsOrigins,
      maxConnections: config.maxConnections,
      connectTimeout: config.connectTimeout,
      ...(redis && {
        adapter: redisAdapter(redis.commands, redis.adapterSubscriber, redis.connections.isCluster, this.#log),
      }),
      greeting: {
        head: () => {
          const { epoch, seq } = this.#journal.head();
          return formatOffset(epoch, seq);
        },
        statuses: () => this.#fanout.statuses.packets(),
      },
      events: {
        connected: () => this.#metrics.connects.inc(),
        disconnected: (reason) => this.#metrics.disconnects.inc({ reason }),
        refused: (reason) => this.#metrics.refusals.inc({ reason }),
      },
      log: this.#log,
    });
    app.any('/*', (res) => {
      res.cork(() => {
        res.writeStatus('404 Not Found').writeHeader('Content-Type', 'text/plain').end('There is nothing here.\n');
      });
    });
    return manager;
  }

  #buildAdmin(): TemplatedApp {
    const { redisKeyPrefix, signalChannel, statusChannel, maxSignalBytes, apiKeys } = this.#config;
    const app = this.#uws.App();
    const publisher: Publisher =
      this.#redis === undefined
        ? {
            publish: (messages) =>
              Promise.resolve(
                messages.map((message) => {
                  const { epoch, seq } = this.#accept('http', message);
                  return formatOffset(epoch, seq);
                }),
              ),
          }
        : new RedisPublisher(this.#redis.commands, redisKeyPrefix, {
            new_signal: signalChannel,
            status_update: statusChannel,
          });
    serveRoutes(
      app,
      [
        ...healthRoutes({ reasons: () => this.#notReady() }),
        this.#metrics.route(),
        ...publishRoutes(publisher, publishGuard(apiKeys), maxSignalBytes, (event, reason, detail, item) =>
          this.#rejections.note('http', event, reason, detail, item),
        ),
      ],
      this.#log,
    );
    return app;
  }

  #accept(source: Source, message: FeedMessage): { epoch: string; seq: number } {
    this.#metrics.accepted.inc({ source, event: message.event });
    return this.#journal.appendOne(message);
  }

  #onLink(up: boolean): void {
    const first = this.#announced === undefined;
    this.#linked = up;
    if (this.#announced === up || (first && up)) return;
    this.#announced = up;
    if (up) this.#fanout.announce('active', 'The link to Redis is back; signals flow again.');
    else
      this.#fanout.announce('degraded', 'The link to Redis is lost; signals may be late or missing until it is back.');
  }

  #notReady(): NotReadyReason[] {
    const reasons: NotReadyReason[] = [];
    if (this.#state === 'starting') reasons.push('starting');
    if (this.#state === 'stopping') reasons.push('draining');
    if (this.#redis !== undefined && !this.#linked) reasons.push('redis');
    return reasons;
  }
}
