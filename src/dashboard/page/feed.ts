import type { Signal } from '../../contract/events.js';
import { type Offset, parseOffset } from '../../contract/offset.js';
import { Contiguity } from './contiguity.js';
import { History } from './history.js';
import { Timeline } from './timeline.js';

/** A signal as the page keeps it: only what it shows, and no long text. */
export interface Received {
  readonly side: string;
  readonly symbol: string;
  readonly timeframe: string;
  readonly type: string;
  readonly price: number;
  /** When it says that it was made, in Unix milliseconds; NaN if that can not be read. */
  readonly time: number;
  /** Milliseconds from then until it was here, as far as the clocks agree. */
  readonly latency: number;
  readonly place: Offset | undefined;
}

/** Signals that are kept for the filter. */
export const KEPT = 2000;

/** A signal that is older than this was not sent just now; it is listed, and left out of the plot. */
const MAX_PLOTTED_MS = 60_000;

/** Symbols that the filter proposes. */
const MAX_SYMBOLS = 200;

const MAX_TYPE_LENGTH = 64;

/** All that the page knows of the signals; bounded, however long it stays open. */
export class Feed {
  readonly contiguity = new Contiguity();
  readonly timeline: Timeline;
  readonly kept = new History<Received>(KEPT);
  readonly symbols = new Set<string>();
  #received = 0;
  #fresh: Received[] = [];

  /** @param now - Unix milliseconds */
  constructor(now: number) {
    this.timeline = new Timeline(now / 1000);
  }

  /** Signals since the page was opened. */
  get received(): number {
    return this.#received;
  }

  /**
   * Takes a signal in.
   *
   * @param now - Unix milliseconds
   * @returns how many messages are missing before it
   */
  take(signal: Signal, offset: unknown, now: number): number {
    const place = parseOffset(offset);
    const time = Date.parse(signal.timestamp);
    const latency = now - time;
    this.#received++;
    const received: Received = {
      side: signal.signal,
      symbol: signal.symbol,
      timeframe: signal.timeframe,
      type: signal.type.slice(0, MAX_TYPE_LENGTH),
      price: signal.price,
      time,
      latency,
      place,
    };
    this.kept.push(received);
    // What nobody has drawn yet is bounded too: a page in the background draws nothing.
    if (this.#fresh.length >= KEPT) this.#fresh = this.#fresh.slice(-KEPT / 2);
    this.#fresh.push(received);
    // Here too, so that a timer that is late moves nothing into a second where it does not belong.
    this.timeline.advance(now / 1000);
    this.timeline.add(Math.abs(latency) <= MAX_PLOTTED_MS ? latency : undefined);
    if (this.symbols.size < MAX_SYMBOLS) this.symbols.add(signal.symbol);
    return place === undefined ? 0 : this.contiguity.take(place);
  }

  /** The signals since the last call, oldest first. */
  takeFresh(): readonly Received[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }
}
