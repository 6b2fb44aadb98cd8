import type { Signal } from '../contract/events.js';
import type { Random } from './random.js';

/** A symbol of the demo, and where its price begins. */
interface Listing {
  readonly symbol: string;
  readonly price: number;
  /** Digits after the point that its prices have. */
  readonly digits: number;
  /** Standard deviation of one step, as a share of the price. */
  readonly volatility: number;
}

const LISTINGS: readonly Listing[] = [
  { symbol: 'BTC/USDT', price: 67_250, digits: 2, volatility: 0.0005 },
  { symbol: 'ETH/USDT', price: 3480, digits: 2, volatility: 0.0006 },
  { symbol: 'BNB/USDT', price: 592, digits: 1, volatility: 0.0005 },
  { symbol: 'SOL/USDT', price: 162.5, digits: 2, volatility: 0.0009 },
  { symbol: 'XRP/USDT', price: 0.524, digits: 4, volatility: 0.0007 },
  { symbol: 'ADA/USDT', price: 0.452, digits: 4, volatility: 0.0008 },
  { symbol: 'DOGE/USDT', price: 0.1234, digits: 5, volatility: 0.0011 },
  { symbol: 'AVAX/USDT', price: 35.2, digits: 2, volatility: 0.0009 },
  { symbol: 'LINK/USDT', price: 14.35, digits: 3, volatility: 0.0008 },
  { symbol: 'DOT/USDT', price: 6.2, digits: 3, volatility: 0.0008 },
  { symbol: 'LTC/USDT', price: 72.4, digits: 2, volatility: 0.0007 },
  { symbol: 'ATOM/USDT', price: 8.1, digits: 3, volatility: 0.0009 },
];

/** Each timeframe takes every n-th step of a price. */
const TIMEFRAMES = [
  { timeframe: '1m', steps: 1 },
  { timeframe: '5m', steps: 5 },
  { timeframe: '15m', steps: 15 },
] as const;

/** A demo that runs for weeks stays near the prices it began with. */
const REVERSION = 0.0002;
/** Weight of the newest price in a moving average of 4 and of 12 prices. */
const FAST = 2 / (4 + 1);
const SLOW = 2 / (12 + 1);

/** Two moving averages of one price; says when the fast one crosses the slow one. */
class Crossing {
  #fast: number;
  #slow: number;
  #above: boolean | undefined;

  constructor(price: number) {
    this.#fast = price;
    this.#slow = price;
  }

  /** Takes the next price. Crossing upwards means buy, downwards sell. */
  take(price: number): Signal['signal'] | undefined {
    this.#fast += FAST * (price - this.#fast);
    this.#slow += SLOW * (price - this.#slow);
    if (this.#fast === this.#slow) return undefined;
    const before = this.#above;
    this.#above = this.#fast > this.#slow;
    if (before === undefined || before === this.#above) return undefined;
    return this.#above ? 'BUY' : 'SELL';
  }
}

/** The price of one symbol: a geometric random walk. */
class Walk {
  readonly #listing: Listing;
  readonly #random: Random;
  readonly #crossings: readonly Crossing[];
  /** Logarithm of the price over the price at the start. */
  #drift = 0;
  #steps = 0;

  constructor(listing: Listing, random: Random) {
    this.#listing = listing;
    this.#random = random;
    this.#crossings = TIMEFRAMES.map(() => new Crossing(listing.price));
  }

  /** Moves the price, and says what follows from it in each timeframe. */
  step(): Omit<Signal, 'timestamp'>[] {
    const { symbol, price: start, digits, volatility } = this.#listing;
    this.#drift += volatility * this.#random.normal() - REVERSION * this.#drift;
    this.#steps++;
    const price = Number((start * Math.exp(this.#drift)).toFixed(digits));
    return TIMEFRAMES.flatMap(({ timeframe, steps }, index) => {
      const signal = this.#steps % steps === 0 ? this.#crossings[index]?.take(price) : undefined;
      return signal === undefined ? [] : [{ type: 'QUANTUM_CIPHER', signal, price, symbol, timeframe, demo: true }];
    });
  }
}

/**
 * A made-up market: random walks of a dozen symbols, and the signals that crossing moving averages give. The same
 * {@link Random} gives the same signals.
 */
export class DemoMarket {
  readonly #random: Random;
  readonly #walks: readonly Walk[];
  readonly #waiting: Omit<Signal, 'timestamp'>[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#walks = LISTINGS.map((listing) => new Walk(listing, random));
  }

  /** Lets the market run on until there is a signal. It has the field `demo` beside those of every signal. */
  next(now: Date): Signal {
    for (;;) {
      const found = this.#waiting.shift();
      if (found !== undefined) return { ...(found as Signal), timestamp: now.toISOString() };
      this.#waiting.push(...this.#random.pick(this.#walks).step());
    }
  }
}
