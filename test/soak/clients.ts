import { performance } from 'node:perf_hooks';
import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { io } from 'socket.io-client';
import { parseOffset } from '../../src/contract/offset.js';

/** What the parent tells this process. */
export type Order =
  | { readonly do: 'connect'; readonly url: string; readonly count: number; readonly polling: number }
  /** Counts from here on belong to a new phase. */
  | { readonly do: 'phase' }
  | { readonly do: 'report'; readonly id: number };

/** What this process tells of its clients. */
export interface Report {
  readonly id: number;
  readonly connected: number;
  /** Smallest and largest number of signals that a client has got since the start. */
  readonly least: number;
  readonly most: number;
  readonly lost: number;
  readonly twice: number;
  readonly outOfOrder: number;
  readonly gaps: number;
  /** Reconnects of this phase that were not recovered. */
  readonly unrecovered: number;
  /** When clients connected again in this phase, ms since 1970. */
  readonly reconnects: readonly number[];
  /** Latencies of this phase in µs, of signals that were published while their client was connected. */
  readonly latencies: string;
}

const totals = { connected: 0, lost: 0, twice: 0, outOfOrder: 0, gaps: 0, unrecovered: 0 };
const counts: number[] = [];
let reconnects: number[] = [];
let latencies = build({ useWebAssembly: false });

/** ms since 1970, with fractions: processes of one machine share the clock behind it. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function open(url: string, index: number, isPolling: boolean): void {
  const socket = io(url, {
    forceNew: true,
    timeout: 60_000,
    reconnectionDelay: 50,
    reconnectionDelayMax: 500,
    // The load balancer's cookie leads each request of a long-polling session to its pod.
    ...(isPolling ? { transports: ['polling'], withCredentials: true } : { transports: ['websocket'] }),
  });
  let last: { epoch: string; seq: number } | undefined;
  let since = Infinity;
  let connects = 0;
  counts[index] = 0;
  socket.on('connect', () => {
    since = now();
    if (connects++ === 0) return;
    reconnects.push(since);
    if (!socket.recovered) totals.unrecovered++;
  });
  socket.on('welcome', (_message: unknown, offset: string) => {
    if (last === undefined) totals.connected++;
    last ??= parseOffset(offset);
  });
  socket.on('gap', () => totals.gaps++);
  socket.on('new_signal', ({ sentAt }: { sentAt: number }, offset: string) => {
    const place = parseOffset(offset);
    if (place === undefined || last === undefined || place.epoch !== last.epoch) totals.lost++;
    else if (place.seq === last.seq) totals.twice++;
    else if (place.seq < last.seq) totals.outOfOrder++;
    else totals.lost += place.seq - last.seq - 1;
    if (place !== undefined && (last === undefined || place.seq > last.seq)) last = place;
    counts[index] = (counts[index] ?? 0) + 1;
    // One that was published while the client was on its way comes by the replay, and is late by nature.
    if (sentAt > since) latencies.recordValue(Math.max(1, Math.round((now() - sentAt) * 1000)));
  });
}

process.on('message', (order: Order) => {
  if (order.do === 'connect') {
    for (let i = 0; i < order.count; i++) setTimeout(open, i, order.url, i, i < order.polling);
  } else if (order.do === 'phase') {
    reconnects = [];
    latencies = build({ useWebAssembly: false });
  } else {
    const report: Report = {
      id: order.id,
      ...totals,
      least: counts.reduce((a, b) => Math.min(a, b), Infinity),
      most: counts.reduce((a, b) => Math.max(a, b), 0),
      reconnects,
      latencies: encodeIntoCompressedBase64(latencies),
    };
    process.send?.(report);
  }
});
process.on('disconnect', () => process.exit());
