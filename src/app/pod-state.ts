import type { MemoryPressure } from '../access/memory-pressure.js';
import type { PodInfo } from '../admin/answers.js';
import type { NotReadyReason, RedisCause } from '../admin/health.js';
import { formatOffset } from '../contract/offset.js';
import type { DashboardInfo } from '../dashboard/dashboard-info.js';
import { version } from '../version.js';
import type { WebSocketManager } from '../websocket/websocket-manager.js';
import type { JournalParts } from './build-journal.js';

/** What the state of a pod is read from. */
export interface PodStateParts extends Pick<JournalParts, 'journal' | 'redis'> {
  readonly pod: string;
  readonly memory: MemoryPressure;
  /** Called only once the app is built. */
  readonly websocket: () => WebSocketManager;
}

/** What a pod says about itself: whether it is ready, and how it is doing. */
export class PodState {
  phase: 'starting' | 'serving' | 'stopping' = 'starting';
  readonly #parts: PodStateParts;
  readonly #startedAtMs = Date.now();

  constructor(parts: PodStateParts) {
    this.#parts = parts;
  }

  /** Why the pod should get no new clients; empty when it should. */
  notReady(): NotReadyReason[] {
    const { redis, memory } = this.#parts;
    const reasons: NotReadyReason[] = [];
    if (this.phase === 'starting') reasons.push('starting');
    if (this.phase === 'stopping') reasons.push('draining');
    if (redis?.state.up === false) reasons.push('redis');
    if (memory.isHigh) reasons.push('overloaded');
    return reasons;
  }

  /** What is wrong with Redis. */
  redisCauses(): RedisCause[] {
    const faults = this.#parts.redis?.state.faults ?? [];
    return faults.map(({ aspect, fault: { code, reason }, sinceMs }) => ({ aspect, code, reason, since: sinceMs }));
  }

  /** For `GET /v1/info`. */
  info(): PodInfo {
    const { pod, journal, redis } = this.#parts;
    const websocket = this.#parts.websocket();
    return {
      pod,
      version: version(),
      node: process.version,
      uptime: Math.round((Date.now() - this.#startedAtMs) / 1000),
      notReady: this.notReady(),
      connections: websocket.transports(),
      topics: websocket.topics,
      head: formatOffset(journal.head()),
      lag: redis?.journal.lag() ?? 0,
      bridge: redis?.bridge.holding ?? false,
    };
  }

  /** For the dashboard. */
  dashboardInfo(): DashboardInfo {
    const { pod, journal } = this.#parts;
    return {
      pod,
      version: version(),
      connections: this.#parts.websocket().connections,
      head: formatOffset(journal.head()),
    };
  }
}
