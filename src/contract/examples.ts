import type { ConnectError } from './connect.js';
import type { Gap, Signal, StatusUpdate, SubscribeAnswer, Welcome } from './events.js';

const TOPICS = ['BTC/USDT', 'ETH/USDT@1m'];

/** Examples for the published documents; a test holds them valid. */
export const EXAMPLES = {
  offset: 'q1w2e3r4t5y6:1042',
  welcome: { message: 'Successfully connected to Quantum Trader Pro real-time feed.' } satisfies Welcome,
  signal: {
    type: 'QUANTUM_CIPHER',
    signal: 'BUY',
    price: 162.5,
    symbol: 'BTC/USDT',
    timeframe: '1m',
    timestamp: '2023-10-27T10:00:00Z',
  } satisfies Signal,
  status: {
    service: 'SignalMonitorWorker',
    status: 'active',
    message: 'Monitoring market for signals.',
  } satisfies StatusUpdate,
  gatewayStatus: {
    service: 'gateway',
    status: 'degraded',
    message: 'The link to Redis is lost; signals are late until it is back.',
  } satisfies StatusUpdate,
  gap: { reason: 'expired', requested: 'q1w2e3r4t5y6:17', resumed: 'q1w2e3r4t5y6:1042' } satisfies Gap,
  deletedGap: { reason: 'deleted', requested: 'q1w2e3r4t5y6:1041', resumed: 'q1w2e3r4t5y6:1042' } satisfies Gap,
  topics: TOPICS,
  connect: { topics: TOPICS, token: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl' },
  subscribeRefused: {
    ok: false,
    error: { code: 'invalid_topics', message: 'topic 0 is not a topic such as "*", "BTC/USDT" or "BTC/USDT@1m"' },
  } satisfies SubscribeAnswer,
  connectError: {
    message: 'topic 0 is not a topic such as "*", "BTC/USDT" or "BTC/USDT@1m"',
    data: { code: 'invalid_topics' },
  } satisfies ConnectError,
} as const;
