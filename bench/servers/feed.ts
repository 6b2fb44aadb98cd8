// What every control row has in common: where signals come from, what a client is greeted with, and what is said at the start.
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';

/** The channel that signals are published on; a row that shares its Redis with others has another. */
export const CHANNEL = process.env['SIGNAL_CHANNEL'] ?? 'new_signal';

/** The first argument of `welcome`, as the gateway sends it by default. */
export const WELCOME = { message: 'Successfully connected to Quantum Trader Pro real-time feed.' };

/** As long as the gateway's name for one life of its journal, so that packets are of the same length. */
const EPOCH = randomBytes(6).toString('base64url');
/** Numbers begin at a time in microseconds, as those of a journal in Redis do. */
let seq = Date.now() * 1000;

/** The place of the newest signal, in the form and length of the gateway's offsets. */
export function offset(): string {
  return `${EPOCH}:${seq}`;
}

/** Moves on to the next signal. */
export function nextOffset(): string {
  seq++;
  return offset();
}

/** A connection to the Redis of the row. */
export function connectRedis(): Redis {
  return new Redis(process.env['REDIS_URL'] ?? '');
}

/** Calls back with the JSON text of every signal; resolves when the subscription stands. */
export async function subscribe(onSignal: (json: string) => void): Promise<void> {
  const redis = connectRedis();
  redis.on('message', (_channel, json) => onSignal(json));
  await redis.subscribe(CHANNEL);
}

/** The topics of a signal, widest first, as the gateway has them. */
export function topicsOf({ symbol, timeframe }: { symbol: string; timeframe: string }): string[] {
  return ['*', symbol, `${symbol}@${timeframe}`];
}

/** Tells whoever started this process where clients connect. @param adminPort - 0 where there is nothing but clients */
export function announce(port: number, adminPort = 0): void {
  console.log(JSON.stringify({ msg: 'serving', port, adminPort }));
}
