import type { Gauges, RedisGauges } from '../admin/metrics.js';
import type { CertificateWatch } from '../http/certificate-watch.js';
import type { MemoryPressure } from '../access/memory-pressure.js';
import type { FeedDelivery } from '../delivery/delivery.js';
import type { WebSocketManager } from '../websocket/websocket-manager.js';
import type { JournalParts } from './build-journal.js';
import type { PodState } from './pod-state.js';
import type { RedisParts } from './redis-parts.js';

/** What the gauges read. */
export interface GaugeParts extends Pick<JournalParts, 'journal' | 'redis'> {
  readonly websocket: WebSocketManager;
  readonly state: PodState;
  readonly delivery: FeedDelivery;
  readonly memory: MemoryPressure;
  readonly certificate: CertificateWatch | undefined;
}

/** The numbers that are read when Prometheus asks. */
export function gaugesOf({ websocket, delivery, state, memory, journal, certificate, redis }: GaugeParts): Gauges {
  return {
    connections: () => websocket.transports(),
    sessions: () => websocket.connections,
    bufferedBytes: () => websocket.bufferedBytes(),
    catchingUp: () => Math.max(0, websocket.clients - delivery.upToDate),
    draining: () => (state.phase === 'stopping' ? 1 : 0),
    memoryShare: () => memory.share,
    journalSeq: () => journal.head().seq,
    certificateEndSeconds: certificate && (() => certificate.notAfterMs / 1000),
    redis: redis && redisGaugesOf(redis),
  };
}

function redisGaugesOf(redis: RedisParts): RedisGauges {
  const { bridge, journal } = redis;
  return {
    faults: () => redis.state.faults.map(({ aspect, fault }) => ({ aspect, cause: fault.code })),
    up: () => (redis.state.up ? 1 : 0),
    bridging: () => (bridge.holding ? 1 : 0),
    waiting: () => bridge.waiting,
    lag: () => journal.reader.lag,
    lagSeconds: () => journal.reader.lagSeconds,
  };
}
