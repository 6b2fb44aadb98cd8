import { afterEach, expect, test } from 'vitest';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Posts so many batches, one after the other. */
async function post(pod: Pod, batches: number, batch: (n: number) => string): Promise<void> {
  for (let n = 0; n < batches; n++) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${pod.adminUrl}/v1/signals`, { method: 'POST', headers, body: batch(n) });
    expect(answer.status).toBe(202);
    await answer.arrayBuffer();
  }
}

function aSignal(n: number, pad: string, symbol = 'BTC/USDT'): string {
  const timestamp = '2023-10-27T10:00:00Z';
  return JSON.stringify({ type: 'T', signal: 'BUY', price: n, symbol, timeframe: '1m', timestamp, pad });
}

/** The price of the newest entry. */
async function newestOf(pod: Pod): Promise<number | undefined> {
  const answer = await fetch(`${pod.adminUrl}/v1/signals?limit=1`);
  const { entries } = (await answer.json()) as { entries: { data: { price: number } }[] };
  return entries[0]?.data.price;
}

test('without Redis a gateway outlives signals of many times its memory, long ones and those cut out of long texts', async () => {
  const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '10000000' }, { nodeArgs: ['--max-old-space-size=80'] });
  const pad = 'x'.repeat(15_000);
  await post(pod, 40, (n) => `[${Array.from({ length: 200 }, (_, i) => aSignal(n * 200 + i, pad)).join()}]`);
  expect(await newestOf(pod)).toBe(7999);
  // One short signal, and white space that is not kept with it.
  await post(pod, 40, (n) => `[${aSignal(n, '')}${' '.repeat(5_000_000)}]`);
  expect(await newestOf(pod)).toBe(39);
  await post(pod, 40, (n) => `[${Array.from({ length: 1000 }, (_, i) => aSignal(i, '', `${n}-${i}`)).join()}]`);
  expect(await newestOf(pod)).toBe(999);
});
