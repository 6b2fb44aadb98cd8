import { describe, expect, test } from 'vitest';
import { type Signal, signalSchema, statusSchema } from '../../src/contract/events.js';
import { DemoMarket } from '../../src/demo/market.js';
import { Random } from '../../src/demo/random.js';
import { DemoServices } from '../../src/demo/services.js';

const NOW = new Date('2026-01-02T03:04:05Z');

function signals(seed: number, count: number): Signal[] {
  const market = new DemoMarket(new Random(seed));
  return Array.from({ length: count }, () => market.next(NOW));
}

describe('the market of the demo', () => {
  test('gives signals of a dozen symbols in several timeframes, all of the right shape', () => {
    const all = signals(1, 3000);
    expect(all.filter((one) => !signalSchema.safeParse(one).success)).toEqual([]);
    expect(new Set(all.map(({ symbol }) => symbol)).size).toBe(12);
    expect(new Set(all.map(({ timeframe }) => timeframe))).toEqual(new Set(['1m', '5m', '15m']));
    expect(all.every(({ timestamp }) => timestamp === NOW.toISOString())).toBe(true);
    expect(all.every((one) => one['demo'] === true)).toBe(true);
  });

  test('gives the same signals for the same seed, and others for another', () => {
    expect(signals(7, 200)).toEqual(signals(7, 200));
    expect(signals(7, 200)).not.toEqual(signals(8, 200));
  });

  test('buys and sells a symbol in turns in each timeframe, as crossings of two averages do', () => {
    const last = new Map<string, string>();
    for (const { symbol, timeframe, signal } of signals(3, 3000)) {
      const series = `${symbol}@${timeframe}`;
      expect(last.get(series)).not.toBe(signal);
      last.set(series, signal);
    }
    expect(last.size).toBe(36);
  });

  test('moves prices in small steps of their ticks, and keeps them near where they began for a long time', () => {
    const btc = signals(5, 60_000).filter(({ symbol }) => symbol === 'BTC/USDT');
    const prices = btc.map(({ price }) => price);
    expect(prices.every((price) => price > 67_250 / 2 && price < 67_250 * 2)).toBe(true);
    expect(prices.every((price) => Number(price.toFixed(2)) === price)).toBe(true);
    const steps = prices.slice(1).map((price, i) => Math.abs(price / (prices[i] ?? price) - 1));
    expect(Math.max(...steps)).toBeLessThan(0.05);
    expect(new Set(prices).size).toBeGreaterThan(prices.length / 2);
  });
});

describe('the services of the demo', () => {
  test('are all active at first; now and then one is degraded for a while and comes back', () => {
    const services = new DemoServices(new Random(2));
    const first = services.due(0);
    expect(first.map(({ status }) => status)).toEqual(['active', 'active', 'active']);
    expect(services.due(1000)).toEqual([]);

    const later = services.due(3_600_000);
    expect(later.length).toBeGreaterThan(40);
    for (let i = 0; i + 1 < later.length; i += 2) {
      const [down, up] = later.slice(i, i + 2);
      expect([down?.status, up?.status]).toEqual(['degraded', 'active']);
      expect(up?.service).toBe(down?.service);
    }
    expect([...first, ...later].filter((one) => !statusSchema.safeParse(one).success)).toEqual([]);
    expect(new Set(later.map(({ service }) => service)).size).toBe(3);
  });

  test('tell the same whether they are asked often or seldom', () => {
    const often = new DemoServices(new Random(9));
    const told = Array.from({ length: 601 }, (_, second) => often.due(second * 1000)).flat();
    expect(new DemoServices(new Random(9)).due(600_000)).toEqual(told);
  });
});
