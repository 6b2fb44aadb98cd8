import { type Histogram, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { nowMicros } from '../load/message.js';
import { emptyHistogram } from '../load/tally.js';

/** What a process of clients is told. */
export type Order =
  | { readonly do: 'connect'; readonly port: number; readonly count: number; readonly polling: number }
  /** What is timed from here on belongs to a new phase. */
  | { readonly do: 'phase' }
  | { readonly do: 'report'; readonly id: number };

/** What such a process tells of its clients. */
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
  /** Reconnects that were not recovered. */
  readonly unrecovered: number;
  /** When clients had their `welcome` again in this phase, µs of the monotonic clock. */
  readonly reconnects: readonly number[];
  /** Latencies of this phase in µs, of signals that were due while their client was connected; compressed, base64. */
  readonly latencies: string;
}

/** Counts what the clients of a process see, in phases. */
export class ClientCounts {
  readonly totals = { connected: 0, lost: 0, twice: 0, outOfOrder: 0, gaps: 0, unrecovered: 0 };
  readonly received: number[] = [];
  #reconnects: number[] = [];
  #latencies: Histogram = emptyHistogram();

  reconnected(recovered: boolean): void {
    this.#reconnects.push(nowMicros());
    if (!recovered) this.totals.unrecovered++;
  }

  /**
   * Counts a signal, and times it unless it was due before its client was connected: that one comes by the replay, and is
   * late by nature.
   *
   * @param since - when the client had its `welcome`, µs
   */
  got(index: number, due: number, since: number): void {
    this.received[index] = (this.received[index] ?? 0) + 1;
    if (due > since) this.#latencies.recordValue(Math.max(1, nowMicros() - due));
  }

  phase(): void {
    this.#reconnects = [];
    this.#latencies = emptyHistogram();
  }

  /** @param lost - what is missing now, where that is not in the totals */
  report(id: number, lost = this.totals.lost): Report {
    return {
      id,
      ...this.totals,
      lost,
      least: this.received.reduce((a, b) => Math.min(a, b), Infinity),
      most: this.received.reduce((a, b) => Math.max(a, b), 0),
      reconnects: this.#reconnects,
      latencies: encodeIntoCompressedBase64(this.#latencies),
    };
  }
}

/** Follows the orders of the parent; ends with it. */
export function obey(
  counts: ClientCounts,
  connect: (order: Order & { do: 'connect' }) => void,
  lost?: () => number,
): void {
  process.on('message', (order: Order) => {
    if (order.do === 'connect') connect(order);
    else if (order.do === 'phase') counts.phase();
    else process.send?.(counts.report(order.id, lost?.()));
  });
  process.on('disconnect', () => process.exit());
}
