import { afterEach, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { hasChromium, startBrowser } from '../support/browser.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';
import { complaintsOf, rowsOf, servePage } from './browser.js';
import { range } from './watched.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

async function publish(pod: Pod, prices: readonly number[]): Promise<string | undefined> {
  const answer = await pod.post(
    '/v1/signals',
    prices.map((price) => signal(price)),
  );
  return ((await answer.json()) as { offsets: string[] }).offsets.at(-1);
}

/** Waits for so many rows. @returns the prices, oldest first */
async function shown(page: Page, count: number): Promise<number[]> {
  const rows = await until(
    `${count} rows`,
    async () => {
      const all = await rowsOf(page, '#signals');
      return all.length >= count && all;
    },
    { seen: () => page.url(), limit: 20_000 },
  );
  return rows.map((row) => Number(row.split(' ').at(-1))).toReversed();
}

async function says(page: Page, text: string): Promise<void> {
  await page.locator('#state', { hasText: new RegExp(`^${text}$`) }).waitFor({ timeout: 30_000 });
}

test.skipIf(!hasChromium)(
  'a page that is reloaded in Chromium gets what was published meanwhile: no hole, nothing twice',
  async () => {
    const pod = await Pod.start(cleanup);
    const address = `${await servePage(cleanup, 'examples/browser.html')}?gateway=${pod.url}`;
    const context = await (await startBrowser(cleanup)).newContext();
    const page = await context.newPage();
    const complaints = complaintsOf(page);
    await page.goto(address);
    await says(page, 'connected');
    await publish(pod, range(1, 20));
    expect(await shown(page, 20)).toEqual(range(1, 20));

    // Published while there is no client: the old page is gone, and the new one waits for its script.
    await page.route('**/*.js', async (route) => {
      await until('the old page to be gone', async () => (await pod.metric('gateway_connections')) === 0);
      await publish(pod, range(21, 40));
      await route.continue();
    });
    await page.reload();
    await says(page, 'connected, nothing missed');
    await publish(pod, range(41, 45));
    expect(await shown(page, 25)).toEqual(range(21, 45));
    await page.unroute('**/*.js');

    // And again, with nothing to come.
    await page.reload();
    await says(page, 'connected, nothing missed');
    const last = await publish(pod, [46]);
    expect(await shown(page, 1)).toEqual([46]);

    // A page that ends without a word has written its place before.
    await until('the place to be written', () => page.evaluate(`Object.values(sessionStorage).includes('${last}')`));

    // A page that it opens has a copy of its storage, and is a client of its own all the same.
    const [popup] = await Promise.all([context.waitForEvent('page'), page.evaluate(`void window.open('${address}')`)]);
    await says(popup, 'connected, nothing missed');
    await publish(pod, [47]);
    expect(await shown(popup, 1)).toEqual([47]);
    expect(await shown(page, 2)).toEqual([46, 47]);
    expect(complaints).toEqual([]);
  },
);
