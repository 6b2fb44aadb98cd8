import type { StatusUpdate } from '../contract/events.js';
import type { Random } from './random.js';

interface Service {
  readonly service: string;
  readonly well: string;
  readonly troubles: readonly string[];
}

const SERVICES: readonly Service[] = [
  {
    service: 'SignalMonitorWorker',
    well: 'Monitoring market for signals.',
    troubles: ['Falling behind the market; signals may be late.', 'One of two workers is restarting.'],
  },
  {
    service: 'MarketDataFeed',
    well: 'Prices of 12 symbols are live.',
    troubles: ['Prices are up to 5 seconds old.', 'Connecting to the exchange again.'],
  },
  {
    service: 'RiskEngine',
    well: 'Limits are checked on every signal.',
    troubles: ['Checks take longer than usual.'],
  },
];

/** The time from the end of a trouble to the next one, and how long one lasts. */
const WELL_MS = [15_000, 60_000] as const;
const TROUBLE_MS = [6000, 15_000] as const;

/** Made-up services: all are well at first, and now and then one of them is degraded for a while. */
export class DemoServices {
  readonly #random: Random;
  /** The next update, and when it is due. */
  #next: { readonly atMs: number; readonly update: StatusUpdate };
  #begun = false;
  #troubled: Service | undefined;

  constructor(random: Random) {
    this.#random = random;
    this.#next = this.#trouble(0);
  }

  /**
   * The updates that are due by now and were not returned before.
   *
   * @param elapsedMs - since the start
   */
  due(elapsedMs: number): StatusUpdate[] {
    const updates: StatusUpdate[] = [];
    if (!this.#begun) updates.push(...SERVICES.map(active));
    this.#begun = true;
    while (this.#next.atMs <= elapsedMs) {
      const { atMs, update } = this.#next;
      updates.push(update);
      if (this.#troubled === undefined) this.#next = this.#trouble(atMs);
      else {
        this.#next = { atMs: atMs + this.#random.between(...TROUBLE_MS), update: active(this.#troubled) };
        this.#troubled = undefined;
      }
    }
    return updates;
  }

  #trouble(afterMs: number): { atMs: number; update: StatusUpdate } {
    const service = this.#random.pick(SERVICES);
    this.#troubled = service;
    const message = this.#random.pick(service.troubles);
    const atMs = afterMs + this.#random.between(...WELL_MS);
    return { atMs, update: { service: service.service, status: 'degraded', message, demo: true } };
  }
}

function active({ service, well }: Service): StatusUpdate {
  return { service, status: 'active', message: well, demo: true };
}
