import type { Gap, StatusUpdate } from '../../src/contract/events.js';
import type { OffsetStorage } from '../../src/client/kept-offset.js';
import {
  type ConnectionState,
  type SignalClient,
  type SignalClientOptions,
  connectSignals,
} from '../../src/client/signal-client.js';
import type { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';

/** A client and what it told. */
export class Watched {
  readonly client: SignalClient;
  readonly prices: number[] = [];
  readonly gaps: Gap[] = [];
  readonly states: ConnectionState[] = [];
  readonly statuses: StatusUpdate[] = [];

  constructor(cleanup: Cleanup, url: string, options: SignalClientOptions = {}) {
    const socket = { reconnectionDelay: 50, reconnectionDelayMax: 200, ...options.socket };
    this.client = cleanup.add(connectSignals(url, { ...options, socket }), (one) => one.close());
    this.client.onSignal(({ price }) => this.prices.push(price));
    this.client.onGap((gap) => this.gaps.push(gap));
    this.client.onState((state) => this.states.push(state));
    this.client.onStatus((one) => this.statuses.push(one));
  }

  /** Waits for so many connects in all. */
  async connected(times = 1): Promise<this> {
    await until(`${times} connects`, () => this.connects.length >= times, { seen: () => this, limit: 40_000 });
    return this;
  }

  /** Of every connect, whether it was recovered. */
  get connects(): boolean[] {
    return this.states.flatMap((state) => (state.name === 'connected' ? [state.recovered] : []));
  }

  /** Waits until it has got so many signals. @returns the prices of all */
  async got(count: number): Promise<readonly number[]> {
    await until(`${count} signals`, () => this.prices.length >= count, { seen: () => this, limit: 40_000 });
    return this.prices;
  }

  toJSON(): unknown {
    const { prices, gaps, states, statuses } = this;
    return { prices, gaps, states, statuses, state: this.client.state };
  }
}

/** Something like `sessionStorage`. */
export function memoryStorage(): OffsetStorage & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
  };
}

/** Whole numbers from one to another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
