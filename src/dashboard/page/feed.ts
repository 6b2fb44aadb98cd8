import type { Signal } from '../../contract/events.js';
import { type Offset, parseOffset } from '../../contract/offset.js';
import { Contiguity } from './contiguity.js';
import { History } from './history.js';
import { Timeline } from './timeline.js';

/** A signal as the page keeps it: only what it shows, and no long texts. */
export interface Received {
  readonly side: string;
  readonly symbol: string;
  readonly timeframe: string;
  readonly type: string;
  readonly price: number;
  /** Its timestamp as Unix time in ms; NaN if it cannot be read. */
  readonly timeMs: number;
  /** Time from then until it arrived, if the clocks agree. */
  readonly latencyMs: number;
  readonly place: Offset | undefined;
}

/** Signals that are kept for the filter. */
export const KEPT = 2000;

/** A signal older than this was not sent just now: it is listed, but not plotted. */
const MAX_PLOTTED_MS = 60_000;

/** Symbols that the filter proposes. */
const MAX_SYMBOLS = 200;

const MAX_TYPE_LENGTH = 64;

/** All that the page knows of the signals; bounded, however long the page stays open. */
export class Feed {
  readonly contiguity = new Contiguity();
  readonly timeline: Timeline;
  readonly kept = new History<Received>(KEPT);
  readonly symbols = new Set<string>();
  #received = 0;
  #fresh: Received[] = [];

  /** @param nowMs - Unix time in ms */
  constructor(nowMs: number) {
    this.timeline = new Timeline(nowMs / 1000);
  }

  /** Signals since the page was opened. */
  get received(): number {
    return this.#received;
  }

  /**
   * Takes a signal in.
   *
   * @param nowMs - Unix time in ms
   * @returns how many messages are missing before it
   */
  take(signal: Signal, offset: unknown, nowMs: number): number {
    const place = parseOffset(offset);
    const timeMs = Date.parse(signal.timestamp);
    const latencyMs = nowMs - timeMs;
    this.#received++;
    const received: Received = {
      side: signal.signal,
      symbol: signal.symbol,
      timeframe: signal.timeframe,
      type: signal.type.slice(0, MAX_TYPE_LENGTH),
      price: signal.price,
      timeMs,
      latencyMs,
      place,
    };
    this.kept.push(received);
    // Signals that are not drawn yet are bounded too: a page in the background draws nothing.
    if (this.#fresh.length >= KEPT) this.#fresh = this.#fresh.slice(-KEPT / 2);
    this.#fresh.push(received);
    // Here too, so that a late timer does not move a signal into the wrong second.
    this.timeline.advance(nowMs / 1000);
    this.timeline.add(Math.abs(latencyMs) <= MAX_PLOTTED_MS ? latencyMs : undefined);
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
