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
import { isConnect } from '../contract/packet.js';
import { owesPong } from './engine/native-socket.js';
import { sizeRefusals } from './engine/size-refusals.js';
import { UnjoinedPolling } from './engine/unjoined-polling.js';
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
  readonly connectTimeoutMs: number;
}

/** An engine, and what it knows of clients that have not joined: whose CONNECT has not been accepted. */
export interface GuardedEngine {
  readonly engine: FeedEngine;
  readonly unjoined: UnjoinedPolling;
  /** Ends the WebSocket that has been open longest without an attempt to join. @returns whether there was one */
  makeRoom(): boolean;
}

/** How long a client on long-polling may take to join. */
const POLLING_LIFE_MS = 10_000;
/** Clients on long-polling that have not joined: a tenth of all that are taken, within these. */
const MIN_UNJOINED = 100;
const MAX_UNJOINED = 2000;
/** A WebSocket is silent for so long before it is ended for another client. */
const SILENT_MS = 1000;

function unjoinedAtMost(connections: number): number {
  return Math.max(MIN_UNJOINED, Math.min(MAX_UNJOINED, Math.floor(connections / 10)));
}

/** Makes an engine whose clients are counted, and cut when they send too much, too fast, or something that ends in a fault. */
export function guardedEngine(app: RoutedApp, sio: FeedServer, options: GuardedEngineOptions): GuardedEngine {
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
  const onUnjoined = (transport: 'polling' | 'websocket'): void => {
    events.refused('not_joined');
    refusals.note('not_joined', { transport });
  };
  const unjoined = new UnjoinedPolling({
    most: unjoinedAtMost(connectionLimits.most),
    lifeMs: Math.min(POLLING_LIFE_MS, options.connectTimeoutMs),
    onEnd: () => onUnjoined('polling'),
  });
  const engine = new FeedEngine(app, options.engine, { admission: options.admission, fast, oversized });
  // Before Socket.IO listens, so that a flood is cut before it is worked on.
  engine.server.on('connection', (connection: Connection) => {
    connectionLimits.count(connection);
    guard.watch(connection);
    limitReading(connection);
    unjoined.add(connection);
    const ask = (data: unknown): void => {
      if (typeof data !== 'string' || !isConnect(data)) return;
      unjoined.ask(connection);
      connection.off('data', ask);
    };
    connection.on('data', ask);
  });
  return {
    engine,
    unjoined,
    makeRoom: () => {
      const silent = clients.takeSilent(SILENT_MS);
      if (silent === undefined) return false;
      onUnjoined('websocket');
      silent.close();
      return true;
    },
  };
}
