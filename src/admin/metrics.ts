import { Counter, Gauge, Registry } from 'prom-client';
import type { Route } from './http.js';

/** Numbers that are read when Prometheus asks, rather than counted. */
export interface Gauges {
  connections(): Readonly<Record<'websocket' | 'polling', number>>;
  sessions(): number;
  /** 1 while the link to Redis is up, 0 while it is down, `undefined` in embedded mode. */
  redisUp(): 0 | 1 | undefined;
}

/** The metrics of one process, in Prometheus's format. */
export class Metrics {
  readonly #registry = new Registry();
  readonly accepted = this.#counter('gateway_messages_accepted_total', 'Messages taken into the feed by this pod', [
    'source',
    'event',
  ]);
  readonly rejected = this.#counter('gateway_messages_rejected_total', 'Messages refused by this pod', [
    'source',
    'event',
    'reason',
  ]);
  readonly connects = this.#counter('gateway_connects_total', 'Clients that connected');
  readonly disconnects = this.#counter('gateway_disconnects_total', 'Clients that disconnected', ['reason']);
  readonly refusals = this.#counter('gateway_refusals_total', 'Requests of clients refused before any work was done', [
    'reason',
  ]);
  readonly faults = this.#counter('gateway_unhandled_faults_total', 'Errors that no part of the gateway handled');

  /** Adds what is read on demand. */
  watch(gauges: Gauges): void {
    const connections = new Gauge({
      name: 'gateway_connections',
      help: 'Clients connected now',
      labelNames: ['transport'],
      registers: [this.#registry],
      collect() {
        for (const [transport, count] of Object.entries(gauges.connections())) connections.set({ transport }, count);
      },
    });
    const sessions = new Gauge({
      name: 'gateway_sessions',
      help: 'Engine.IO sessions, including clients that are still connecting',
      registers: [this.#registry],
      collect() {
        sessions.set(gauges.sessions());
      },
    });
    if (gauges.redisUp() === undefined) return;
    const redis = new Gauge({
      name: 'gateway_redis_up',
      help: 'Whether the subscription to Redis is in force',
      registers: [this.#registry],
      collect() {
        redis.set(gauges.redisUp() ?? 0);
      },
    });
  }

  /** `GET /metrics`. */
  route(): Route {
    return {
      method: 'GET',
      path: '/metrics',
      handle: async () => ({
        status: 200,
        body: await this.#registry.metrics(),
        contentType: this.#registry.contentType,
      }),
    };
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
