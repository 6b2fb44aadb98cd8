import type { Socket as Connection } from 'engine.io';
import { HalfSent } from './half-sent.js';
import type { OversizedHandlers } from './fast-server.js';
import { OversizedMessages, TOO_LARGE } from './oversized.js';
import type { MemoryPressure } from '../../access/memory-pressure.js';
import type { EndReason } from '../../connection-ends.js';
import type { RefusalLog } from '../../access/refusal-log.js';

/** The limit of size, and where refusals are counted and logged. */
export interface SizeRefusalsOptions {
  /** Bytes of the longest message that is worked on. */
  readonly maxPayload: number;
  readonly events: {
    refused(reason: typeof TOO_LARGE): void;
    subscribed(result: typeof TOO_LARGE): void;
    flooded(kind: 'payload'): void;
  };
  readonly log: RefusalLog;
  /** Told why a connection ends, just before it does. */
  readonly onCut: (connection: object, reason: EndReason) => void;
  readonly memory: Pick<MemoryPressure, 'onHigh'>;
  readonly sessions: () => Connection[];
}

/** Has messages that are too large refused, counted and logged, and those that never end given up when memory is short. */
export function sizeRefusals({
  maxPayload,
  events,
  log,
  onCut,
  memory,
  sessions,
}: SizeRefusalsOptions): OversizedHandlers {
  const note = (bytes?: number): void => log.note(TOO_LARGE, { bytes, maxPayload });
  const cut = (connection: object, bytes?: number): void => {
    onCut(connection, 'payload too large');
    events.flooded('payload');
    note(bytes);
  };
  const halfSent = new HalfSent(sessions, (connection) => {
    onCut(connection, 'memory');
    log.note('memory', { why: 'silent while memory is short, maybe in the middle of a message' });
  });
  memory.onHigh(() => halfSent.relieve());
  const messages = new OversizedMessages({
    maxPayload,
    onRefused: (bytes) => {
      events.refused(TOO_LARGE);
      note(bytes);
    },
    onSubscribe: (bytes) => {
      events.subscribed(TOO_LARGE);
      note(bytes);
    },
    onCut: cut,
  });
  return {
    refuse: (connection, head, bytes) => messages.refuse(connection, head, bytes),
    onClosed: (connection) => cut(connection),
  };
}
