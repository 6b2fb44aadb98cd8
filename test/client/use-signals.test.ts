import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { useSignals } from '../../src/client/use-signals.js';
import { hasChromium, startBrowser } from '../support/browser.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST, serverPort } from '../support/processes.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';
import { complaintsOf, rowsOf, servePage } from './browser.js';
import { range } from './watched.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

async function open(pod: Pod, path: string): Promise<{ page: Page; complaints: string[] }> {
  const address = `${await servePage(cleanup, path)}?gateway=${pod.url}`;
  const page = await (await startBrowser(cleanup)).newPage();
  const complaints = complaintsOf(page);
  await page.goto(address);
  return { page, complaints };
}

async function publish(pod: Pod, prices: readonly number[], more: Readonly<Record<string, unknown>> = {}) {
  const answer = await pod.post(
    '/v1/signals',
    prices.map((price) => signal(price, more)),
  );
  expect(answer.status).toBe(202);
}

/** Waits for the rows of the list of signals, newest first. */
async function shows(page: Page, selector: string, rows: readonly string[]): Promise<void> {
  const seen: { rows?: string[] } = {};
  await until(
    `the rows ${rows[0]} to ${rows.at(-1)}`,
    async () => (seen.rows = await rowsOf(page, selector)).join() === rows.join(),
    { seen: () => seen, limit: 30_000 },
  );
}

function buys(symbol: string, prices: readonly number[]): string[] {
  return prices.map((price) => `${price % 2 === 0 ? 'BUY' : 'SELL'} ${symbol} ${price}`);
}

test('on a server the hook gives an empty list, and connects nowhere', () => {
  const states: unknown[] = [];
  function Probe() {
    const { signals, statuses, state, gap } = useSignals('http://127.0.0.1:9', { topics: ['BTC/USDT'] });
    states.push([signals, statuses.size, state, gap]);
    return createElement('p', null, `${signals.length} ${state.name}`);
  }
  expect(renderToString(createElement(Probe))).toBe('<p>0 connecting</p>');
  expect(states).toEqual([[[], 0, { name: 'connecting' }, undefined]]);
});

test.skipIf(!hasChromium)(
  'the React example shows signals and statuses in Strict Mode, keeps its list over a pod that is killed, changes topics and closes',
  async () => {
    const port = String(await serverPort());
    let pod = await Pod.start(cleanup, { PORT: port });
    await pod.post('/v1/status', status('degraded'));
    const { page, complaints } = await open(pod, 'test/client/pages/example.html');
    await page.getByText('connected', { exact: true }).waitFor();
    await page.getByText('SignalMonitorWorker: degraded').waitFor();
    // Strict Mode mounts twice; one connection stays.
    await until('one connection', async () => (await pod.metric('gateway_connections')) === 1);
    await publish(pod, range(1, 3));
    await shows(page, 'ol', buys('BTC/USDT', [3, 2, 1]));

    await page.getByRole('button').click();
    await until('the topics', async () => (await pod.metric('gateway_subscribes_total', { result: 'ok' })) >= 1, {
      seen: () => pod.output(),
    });
    await publish(pod, [4], { symbol: 'ETH/USDT' });
    await publish(pod, [5]);
    await shows(page, 'ol', buys('BTC/USDT', [5, 3, 2, 1]));
    expect(complaints).toEqual([]);

    // Its journal goes with it.
    await pod.child.kill();
    await page.getByText('reconnecting', { exact: true }).waitFor();
    pod = await Pod.start(cleanup, { PORT: port });
    await page.getByText('Some signals are lost: epoch').waitFor({ timeout: 30_000 });
    await publish(pod, [6], { symbol: 'ETH/USDT' });
    await publish(pod, [7]);
    await shows(page, 'ol', buys('BTC/USDT', [7, 5, 3, 2, 1]));

    await page.evaluate('unmount()');
    await until('no connection', async () => (await pod.metric('gateway_connections')) === 0);
    // Of the time without a gateway Chromium itself complains.
    expect(complaints.filter((text) => !text.includes(`${HOST}:${port}`) && !text.includes('ERR_'))).toEqual([]);
  },
);

test.skipIf(!hasChromium)('a flood of signals renders once a frame at most, and nothing of it is missing', async () => {
  const pod = await Pod.start(cleanup);
  const { page, complaints } = await open(pod, 'test/client/pages/flood.html');
  await until('a connection', async () => (await pod.metric('gateway_connections')) === 1);
  await pod.post('/v1/status', status('active'));
  await page.locator('#statuses', { hasText: 'active' }).waitFor();
  const before = await page.evaluate<{ commits: number; frames: number }>('({ ...counts })');
  for (let from = 1; from <= 2000; from += 20) await publish(pod, range(from, from + 19));
  await shows(page, '#prices', range(1951, 2000).toReversed().map(String));
  const after = await page.evaluate<{ commits: number; frames: number; signals: number }>('({ ...counts })');
  expect(after.signals).toBe(2000);
  expect(after.commits - before.commits).toBeGreaterThan(0);
  expect(after.commits - before.commits).toBeLessThanOrEqual(after.frames - before.frames + 1);
  expect(complaints).toEqual([]);
});
