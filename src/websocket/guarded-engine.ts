import type { Socket as Connection } from 'engine.io';
import type { Admission } from '../access/admission.js';
import type { ConnectionLimits, ConnectionLimitsOptions } from '../access/connection-limits.js';
import { FloodGuard } from '../access/flood-guard.js';
import type { MemoryPressure } from '../access/memory-pressure.js';
import type { RefusalLog } from '../access/refusal-log.js';
import type { ErrorBoundary, FaultStage } from '../http/error-boundary.js';
import type { RoutedApp } from '../http/guarded-app.js';
import type { ConnectionEvents } from './client-session.js';
import type { EndCauses } from './end-causes.js';
import { type EngineOptions, FeedEngine } from './engine/engine.js';
import { FastClients } from './engine/fast-client.js';
import type { FastHandlers } from './engine/fast-server.js';
import { owesPong } from './engine/native-socket.js';
import { sizeRefusals } from './engine/size-refusals.js';
import { limitReading } from './engine/unread.js';
import type { FeedServer } from './feed-socket.js';

/** How much clients may do. */
export interface GuardLimits extends ConnectionLimitsOptions {
  readonly maxMessagesPerSecond: number;
  readonly maxBytesPerSecond: number;
}

/** What guards an engine. */
export interface GuardedEngineOptions {
  readonly engine: EngineOptions;
  readonly limits: GuardLimits;
  readonly admission: Admission;
  readonly connectionLimits: ConnectionLimits;
  readonly boundary: ErrorBoundary;
  readonly causes: EndCauses;
  readonly events: Pick<ConnectionEvents, 'refused' | 'subscribed' | 'flooded'>;
  readonly memory: MemoryPressure;
  readonly refusals: RefusalLog;
}

/** Makes an engine whose clients are counted, and cut when they send too much, too fast, or something that ends in a fault. */
export function guardedEngine(app: RoutedApp, sio: FeedServer, options: GuardedEngineOptions): FeedEngine {
  const { boundary, causes, connectionLimits, events, memory, refusals } = options;
  const { maxPayload } = options.engine;
  const guard = new FloodGuard({
    ...options.limits,
    maxPayload,
    owesPong,
    onFlood: (connection, kind) => {
      causes.note(connection, 'flood');
      events.flooded(kind);
    },
  });
  const endOn =
    (stage: FaultStage) =>
    (connection: { readonly id: string; close(): unknown }, error: unknown): void =>
      boundary.fault({ stage, subject: `connection ${connection.id}`, error }, () => connection.close());
  const clients = new FastClients(sio, endOn('event'));
  const fast: FastHandlers = {
    onConnection: (connection) => {
      connectionLimits.count(connection);
      clients.serve(connection);
    },
    admits: (connection, bytes, kind) => guard.admits(connection, bytes, kind),
    admitsPing: (transport, connection, bytes) => guard.admitsPing(transport, connection, bytes),
    onFault: endOn('timer'),
  };
  const oversized = sizeRefusals({
    maxPayload,
    events,
    log: refusals,
    onCut: (connection, reason) => causes.note(connection, reason),
    memory,
    sessions: () => engine.sessions(),
  });
  const engine = new FeedEngine(app, options.engine, { admission: options.admission, fast, oversized });
  // Before Socket.IO listens, so that a flood is cut before it is worked on.
  engine.server.on('connection', (connection: Connection) => {
    connectionLimits.count(connection);
    guard.watch(connection);
    limitReading(connection);
  });
  return engine;
}
