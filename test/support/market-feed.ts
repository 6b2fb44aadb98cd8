import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from './pod.js';
import { signal } from './signals.js';

const MARKETS: readonly (readonly [symbol: string, price: number])[] = [
  ['BTC/USDT', 67_250.5],
  ['ETH/USDT', 3480.25],
  ['SOL/USDT', 162.5],
  ['XRP/USDT', 0.6142],
  ['ADA/USDT', 0.4521],
  ['DOGE/USDT', 0.1583],
  ['AVAX/USDT', 36.82],
  ['LINK/USDT', 17.95],
  ['DOT/USDT', 7.241],
  ['LTC/USDT', 84.6],
];
const TIMEFRAMES = ['1m', '5m', '15m', '1h'];
const TYPES = ['QUANTUM_CIPHER', 'TREND_BREAK', 'RSI_CROSS'];
/** Signals that are due go out together, this often at most. */
const TICK_MS = 20;
const DIGITS = 5;

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T;
}

/** Publishes signals of several markets into a pod, at a rate, stamped with the time, until stopped. */
export class MarketFeed {
  sent = 0;
  /** Signals a second so far. */
  rate = 0;
  readonly #pod: Pod;
  readonly #prices = new Map(MARKETS);
  #isRunning = true;
  readonly #done: Promise<void>;

  constructor(pod: Pod, rate: number) {
    this.#pod = pod;
    this.#done = this.#run(rate);
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
  }

  #next(): object {
    const [symbol] = pick(MARKETS);
    const price = (this.#prices.get(symbol) ?? 1) * (1 + (Math.random() - 0.5) / 500);
    this.#prices.set(symbol, price);
    return signal(Number(price.toPrecision(DIGITS)), {
      signal: pick(['BUY', 'SELL']),
      symbol,
      timeframe: pick(TIMEFRAMES),
      type: pick(TYPES),
      timestamp: new Date().toISOString(),
    });
  }

  async #run(rate: number): Promise<void> {
    const begin = performance.now();
    while (this.#isRunning) {
      await sleep(TICK_MS);
      const elapsed = performance.now() - begin;
      const due = Math.floor((elapsed * rate) / 1000) - this.sent;
      if (due <= 0) continue;
      const answer = await this.#pod.post(
        '/v1/signals',
        Array.from({ length: Math.min(due, 1000) }, () => this.#next()),
      );
      if (!answer.ok) throw new Error(`a signal was not taken: ${await answer.text()}`);
      this.sent += Math.min(due, 1000);
      this.rate = (this.sent * 1000) / elapsed;
    }
  }
}
