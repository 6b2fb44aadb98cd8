import type { Signal, StatusUpdate } from '../../src/contract/events.js';

/** A signal as the seed of the project shows it, with a price of its own. */
export function signal(price: number, more: Readonly<Record<string, unknown>> = {}): Signal {
  return {
    type: 'QUANTUM_CIPHER',
    signal: price % 2 === 0 ? 'BUY' : 'SELL',
    price,
    symbol: 'BTC/USDT',
    timeframe: '1m',
    timestamp: '2023-10-27T10:00:00Z',
    ...more,
  };
}

/** A status as the seed of the project shows it. */
export function status(
  state: StatusUpdate['status'] = 'active',
  more: Readonly<Record<string, unknown>> = {},
): StatusUpdate {
  return { service: 'SignalMonitorWorker', status: state, message: 'Monitoring market for signals.', ...more };
}
