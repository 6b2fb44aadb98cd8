import { setTimeout as sleep } from 'node:timers/promises';
import { emptyHistogram } from '../load/tally.js';
import type { RunningServer } from '../load/servers.js';
import type { Run } from '../result.js';

/** So often it is appended, whatever became of the appends before. */
const EVERY_MS = 100;
/** A topic that no client wants. */
const BODY = JSON.stringify({
  type: 'QUANTUM_CIPHER',
  signal: 'BUY',
  price: 162.5,
  symbol: 'APPEND',
  timeframe: '1m',
  timestamp: '2023-10-27T10:00:00Z',
});

/**
 * Appends single signals over HTTP for as long as something lasts, each at the time at which it is due.
 *
 * @returns how long the answers took, from when each was due
 * @throws Error if one is refused
 */
export async function timeAppends(server: RunningServer, lasting: Promise<unknown>): Promise<Run['figures']> {
  const times = emptyHistogram();
  const over = new AbortController();
  const end = lasting.finally(() => over.abort());
  const answers: Promise<void>[] = [];
  const beginMs = performance.now();
  for (let i = 0; !over.signal.aborted; i++) {
    const dueMs = beginMs + i * EVERY_MS;
    await Promise.race([sleep(Math.max(0, dueMs - performance.now())), end]);
    answers.push(append(server).then(() => times.recordValue(Math.max(1, (performance.now() - dueMs) * 1000))));
  }
  await Promise.all(answers);
  return { appendP50: times.getValueAtPercentile(50) / 1000, appendP99: times.getValueAtPercentile(99) / 1000 };
}

async function append(server: RunningServer): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(server.publishUrl, { method: 'POST', headers, body: BODY });
  if (response.status !== 202) throw new Error(`The gateway answered ${response.status} to a signal.`);
  await response.arrayBuffer();
}
