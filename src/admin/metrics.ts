import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { FEED_EVENTS } from '../contract/events.js';
import { FAULT_STAGES } from '../http/error-boundary.js';
import type { Route } from '../http/router.js';
import { type Build, addProcessMetrics } from './process-metrics.js';

/** Numbers that are read when Prometheus asks, and not counted. */
export interface Gauges {
  connections(): Readonly<Record<'websocket' | 'polling', number>>;
  sessions(): number;
  /** Bytes that wait to be read by clients. */
  bufferedBytes(): number;
  /** Clients that are not live. */
  catchingUp(): number;
  /** 1 while the process stops. */
  draining(): number;
  /** Share of the memory that is in use, 0 to 1. */
  memoryShare(): number;
  /** Number of the newest journal entry this pod has delivered. */
  journalSeq(): number;
  /** When the certificate expires, as Unix time in seconds; unset without TLS. */
  readonly certificateEndSeconds: (() => number) | undefined;
  /** Unset in embedded mode. */
  readonly redis: RedisGauges | undefined;
}

/** Numbers that exist only with Redis. */
export interface RedisGauges {
  /** What does not work, and why. */
  faults(): readonly { readonly aspect: string; readonly cause: string }[];
  up(): number;
  /** 1 on the pod that carries Pub/Sub into the journal. */
  bridging(): number;
  /** Messages heard on Pub/Sub and not yet known to be in the journal. */
  waiting(): number;
  /** Entries in Redis that this pod has not read yet. */
  lag(): number;
  /** The longest time that the reading may be late. */
  lagSeconds(): number;
}

/** From 50 µs, which a handful of clients takes, to 1 s. */
const FANOUT_BUCKETS = [0.000_05, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
/** From 100 µs, which is one way through Redis on the same machine, to what a takeover of the bridge costs. */
const PUBLISH_BUCKETS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

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
  readonly deleted = this.#counter('gateway_entries_deleted_total', 'Entries of the journal deleted through this pod');
  readonly connects = this.#counter('gateway_connects_total', 'Clients that connected');
  readonly disconnects = this.#counter('gateway_disconnects_total', 'Clients that disconnected', ['reason']);
  readonly slow = this.#counter(
    'gateway_slow_clients_total',
    'Clients disconnected because they read nothing for SLOW_TIMEOUT',
  );
  readonly deliveries = this.#counter(
    'gateway_deliveries_total',
    'Entries of the journal handed to clients of this pod, live and replayed, counted once for each client. One that is ' +
      'cut before it has read what was handed to it gets that again, and it counts again. Welcomes, gaps and ' +
      'checkpoints, and what the gateway says about itself, do not count',
  );
  readonly replayed = this.#counter('gateway_replayed_entries_total', 'Entries sent to clients that had missed them');
  readonly refusals = this.#counter('gateway_refusals_total', 'Requests and clients that were refused', ['reason']);
  readonly floods = this.#counter('gateway_floods_total', 'Clients that were cut for what they sent', ['kind']);
  readonly subscribes = this.#counter('gateway_subscribes_total', 'Answers to clients that changed their topics', [
    'result',
  ]);
  readonly renewals = this.#counter('gateway_tls_renewals_total', 'Certificates found changed', ['result']);
  readonly recoveries = this.#counter('gateway_recoveries_total', 'Clients that asked for what they missed', [
    'result',
  ]);
  readonly dropped = this.#counter('gateway_messages_dropped_total', 'Valid messages from Pub/Sub that were dropped', [
    'reason',
  ]);
  readonly sourceLost = this.#counter(
    'gateway_source_entries_lost_total',
    'Entries that were trimmed off, or deleted from, a source stream before they were read; at least so many',
    ['event'],
  );
  readonly notReplicated = this.#counter(
    'gateway_not_replicated_total',
    'Publish requests answered 503 because fewer than JOURNAL_MIN_REPLICAS replicas were known to have the messages',
  );
  readonly faults = this.#counter('gateway_unhandled_faults_total', 'Errors that no part of the gateway handled', [
    'stage',
  ]);
  readonly fanout = new Histogram({
    name: 'gateway_fanout_seconds',
    help: 'How long it took to hand one entry to all clients of this pod',
    buckets: FANOUT_BUCKETS,
    registers: [this.#registry],
  });
  readonly publishToFanout = new Histogram({
    name: 'gateway_publish_to_fanout_seconds',
    help:
      'From a message coming into this pod until it was handed to all clients of this pod. Pub/Sub: from when this pod ' +
      'heard it, on every pod. HTTP: from when it was found good, on the pod that was asked',
    buckets: PUBLISH_BUCKETS,
    registers: [this.#registry],
  });

  constructor(build: Build) {
    addProcessMetrics(this.#registry, build);
    // An alert on any increase needs a value before the first increase.
    for (const reason of ['full', 'expired']) this.dropped.inc({ reason }, 0);
    for (const event of FEED_EVENTS) this.sourceLost.inc({ event }, 0);
    for (const stage of FAULT_STAGES) this.faults.inc({ stage }, 0);
  }

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
    this.#gauge(
      'gateway_buffered_bytes',
      'Bytes that wait to be read by clients; an estimate from 1,000 of them where there are more',
      () => gauges.bufferedBytes(),
    );
    this.#gauge(
      'gateway_clients_catching_up',
      'Clients that get what they missed, or read more slowly than the feed comes',
      () => gauges.catchingUp(),
    );
    this.#gauge('gateway_draining', 'Whether this pod is stopping and disconnects its clients', () =>
      gauges.draining(),
    );
    this.#gauge('gateway_memory_share', 'Share of the memory limit in use', () => gauges.memoryShare());
    this.#gauge('gateway_journal_seq', 'Number of the newest journal entry delivered', () => gauges.journalSeq());
    const { redis, certificateEndSeconds } = gauges;
    if (certificateEndSeconds !== undefined) {
      this.#gauge(
        'gateway_tls_not_after_seconds',
        'When the active certificate expires, Unix time',
        certificateEndSeconds,
      );
    }
    if (redis === undefined) return;
    this.#gauge('gateway_redis_up', 'Whether the journal can be read and appended to, and the subscription hears', () =>
      redis.up(),
    );
    this.#watchFaults(redis);
    this.#gauge('gateway_bridge_lease', 'Whether this pod carries Pub/Sub into the journal', () => redis.bridging());
    this.#gauge('gateway_bridge_waiting', 'Messages heard and not yet known to be in the journal', () =>
      redis.waiting(),
    );
    this.#gauge('gateway_reader_lag_entries', 'Entries in the journal not read yet', () => redis.lag());
    this.#gauge(
      'gateway_reader_lag_seconds',
      'Time since this pod last had read the whole journal; 0 while it has. Grows while Redis cannot be reached',
      () => redis.lagSeconds(),
    );
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

  /** One series for each aspect and cause that there was since the start. */
  #watchFaults(redis: RedisGauges): void {
    const gauge = new Gauge({
      name: 'gateway_redis_faults',
      help: 'What does not work of Redis (read, heard, append, sources), and why; 1 while it lasts, 0 afterwards',
      labelNames: ['aspect', 'cause'],
      registers: [this.#registry],
      collect() {
        for (const labels of seen.values()) gauge.set(labels, 0);
        for (const labels of redis.faults()) {
          seen.set(`${labels.aspect} ${labels.cause}`, labels);
          gauge.set(labels, 1);
        }
      },
    });
    const seen = new Map<string, { readonly aspect: string; readonly cause: string }>();
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
