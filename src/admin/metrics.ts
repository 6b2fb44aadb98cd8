import { Counter, Gauge, Registry } from 'prom-client';
import type { Route } from './http.js';

/** Numbers that are read when Prometheus asks, rather than counted. */
export interface Gauges {
  connections(): Readonly<Record<'websocket' | 'polling', number>>;
  sessions(): number;
  /** Share of the memory that is in use, 0 to 1. */
  memoryShare(): number;
  /** Number of the newest journal entry this pod has delivered. */
  journalSeq(): number;
  /** When the certificate ends, in seconds since 1970; unset without TLS. */
  readonly certificateEnd: (() => number) | undefined;
  /** Unset in embedded mode. */
  readonly redis: RedisGauges | undefined;
}

/** Numbers that exist only with Redis. */
export interface RedisGauges {
  up(): number;
  /** 1 on the pod that carries Pub/Sub into the journal. */
  bridging(): number;
  /** Messages heard on Pub/Sub and not yet known to be in the journal. */
  waiting(): number;
  /** Entries in Redis that this pod has not read yet. */
  lag(): number;
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
  readonly refusals = this.#counter('gateway_refusals_total', 'Clients that were refused', ['reason']);
  readonly floods = this.#counter('gateway_floods_total', 'Clients that were cut for what they sent', ['kind']);
  readonly subscribes = this.#counter('gateway_subscribes_total', 'Answers to clients that changed their topics', [
    'result',
  ]);
  readonly renewals = this.#counter('gateway_tls_renewals_total', 'Certificates found changed', ['result']);
  readonly recoveries = this.#counter('gateway_recoveries_total', 'Clients that asked for what they missed', [
    'result',
  ]);
  readonly replayed = this.#counter('gateway_replayed_entries_total', 'Entries sent to clients that had missed them');
  readonly dropped = this.#counter('gateway_messages_dropped_total', 'Good messages from Pub/Sub that were given up', [
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
    this.#gauge('gateway_sessions', 'Engine.IO sessions, including clients that are still connecting', () =>
      gauges.sessions(),
    );
    this.#gauge('gateway_memory_share', 'Share of the memory limit in use', () => gauges.memoryShare());
    this.#gauge('gateway_journal_seq', 'Number of the newest journal entry delivered', () => gauges.journalSeq());
    const { redis, certificateEnd } = gauges;
    if (certificateEnd !== undefined) {
      this.#gauge('gateway_tls_not_after_seconds', 'When the certificate in force ends, Unix time', certificateEnd);
    }
    if (redis === undefined) return;
    this.#gauge('gateway_redis_up', 'Whether subscription and journal reader are in force', () => redis.up());
    this.#gauge('gateway_bridge_lease', 'Whether this pod carries Pub/Sub into the journal', () => redis.bridging());
    this.#gauge('gateway_bridge_waiting', 'Messages heard and not yet known to be in the journal', () =>
      redis.waiting(),
    );
    this.#gauge('gateway_reader_lag_entries', 'Entries in the journal not read yet', () => redis.lag());
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

  #gauge(name: string, help: string, read: () => number): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        gauge.set(read());
      },
    });
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
