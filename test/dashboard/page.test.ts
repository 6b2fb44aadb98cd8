import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, axeFindings, hasChromium, openPage, startBrowser } from '../support/browser.js';
import { SECRET, claims, secretToken } from '../support/issuer.js';
import { Pod } from '../support/pod.js';
import { Cleanup, serverPort } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
const NARROW_PHONE = { width: 320, height: 568 };

/** Signals of now, as a producer sends them, with prices from one number to another. */
function signals(from: number, to: number, more: Readonly<Record<string, unknown>> = {}): object[] {
  const timestamp = new Date().toISOString();
  return Array.from({ length: to - from + 1 }, (_, i) => signal(from + i, { timestamp, ...more }));
}

async function publish(pod: Pod, items: readonly object[]): Promise<void> {
  const answer = await pod.post('/v1/signals', items);
  expect(answer.status).toBe(202);
}

/** The texts of one column of the list, as it stands. */
function column(page: Page, name: string): Promise<string[]> {
  return page.evaluate<string[]>(
    `[...document.querySelectorAll('#signals tr')].map((row) => row.querySelector('td.${name}').textContent)`,
  );
}

async function prices(page: Page): Promise<number[]> {
  return (await column(page, 'price')).map((text) => Number(text.replaceAll(',', '')));
}

/** What the page shows, for a test that waits in vain. */
function shown(page: Page): Promise<string> {
  return page.locator('body').innerText();
}

async function untilPage(what: string, page: Page, condition: () => Promise<boolean>): Promise<void> {
  try {
    await until(what, condition, { limit: 30_000 });
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${await shown(page)}`, { cause: error });
  }
}

async function untilText(page: Page, id: string, text: string): Promise<void> {
  await untilPage(`"${text}" in #${id}`, page, async () =>
    ((await page.locator(`#${id}`).textContent()) ?? '').includes(text),
  );
}

/** Numbers that fall by one from row to row: newest first, without a hole. */
function countdown(from: number, to: number): number[] {
  return Array.from({ length: from - to + 1 }, (_, i) => from - i);
}

async function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

describe.skipIf(!hasChromium)(`in a browser (skipped where there is no ${CHROMIUM})`, () => {
  const whole = new Cleanup();
  const cleanup = new Cleanup();
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser(whole);
  });
  afterEach(() => cleanup.run());
  const shared = sharedPods();
  afterAll(() => whole.run());

  test('signals appear as they are published, newest first, and nothing leaves the origin', async () => {
    const pod = await Pod.start(cleanup);
    const { page, errors, asked } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'state-text', 'Connected');
    await untilText(page, 'pod', pod.name);
    await untilText(page, 'clients', '1');
    await publish(pod, signals(1, 3));
    await publish(pod, signals(4, 4, { symbol: 'ETH/USDT', signal: 'SELL' }));
    await untilPage('the signals', page, async () => (await prices(page)).length === 4);
    expect(await prices(page)).toEqual([4, 3, 2, 1]);
    expect(await column(page, 'place')).toEqual(['4', '3', '2', '1']);
    expect((await column(page, 'symbol'))[0]).toBe('ETH/USDT');
    expect((await column(page, 'side'))[0]).toBe('SELL');
    expect(await page.locator('#received').innerText()).toBe('4');
    expect(await page.locator('#missed').innerText()).toBe('0');
    await untilPage('the rate', page, async () => (await page.locator('#rate').innerText()) !== '0');
    await untilPage('the latency', page, async () => (await page.locator('#latency').innerText()).endsWith('s'));
    await pod.post('/v1/status', status('degraded', { service: 'Importer', message: 'One source is late.' }));
    await untilText(page, 'services', 'One source is late.');
    expect(errors).toEqual([]);
    expect(asked.length).toBeGreaterThan(4);
    const own = new Set([new URL(pod.url).host]);
    expect(new Set(asked.map((address) => new URL(address).host))).toEqual(own);
  });

  test('the filter shows the signals of a symbol, those that were there and those that come', async () => {
    const pod = await shared();
    const { page, errors } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'state-text', 'Connected');
    await publish(pod, [...signals(1, 2), ...signals(3, 4, { symbol: 'ETH/USDT' }), ...signals(5, 5)]);
    await untilPage('the signals', page, async () => (await prices(page)).length === 5);
    await page.getByLabel('Filter by symbol').fill('eth');
    expect(await prices(page)).toEqual([4, 3]);
    await publish(pod, [...signals(6, 6), ...signals(7, 7, { symbol: 'ETH/USDT' })]);
    await untilPage('the new signal', page, async () => (await prices(page)).length === 3);
    expect(await prices(page)).toEqual([7, 4, 3]);
    await page.getByLabel('Filter by symbol').fill('none of them');
    expect(await prices(page)).toEqual([]);
    expect(await page.locator('#empty').innerText()).toBe('No signal matches.');
    expect(await axeFindings(page)).toEqual([]);
    await page.getByLabel('Filter by symbol').fill('');
    expect(await prices(page)).toEqual(countdown(7, 1));
    expect(errors).toEqual([]);
  });

  test('a paused list stands still, and continues with what arrived meanwhile', async () => {
    const pod = await shared();
    const { page } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'state-text', 'Connected');
    await publish(pod, signals(1, 2));
    await untilPage('the signals', page, async () => (await prices(page)).length === 2);
    await page.getByRole('button', { name: 'Pause' }).click();
    await publish(pod, signals(3, 4));
    await untilText(page, 'received', '4');
    expect(await prices(page)).toEqual([2, 1]);
    expect(await page.locator('#list-note').innerText()).toBe('paused, 2 new');
    await page.getByRole('button', { name: 'Continue' }).click();
    expect(await prices(page)).toEqual([4, 3, 2, 1]);
    expect(await page.locator('#list-note').innerText()).toBe('newest first');
  });

  test('the form publishes a signal, by keyboard alone, and says what is wrong with one', async () => {
    const pod = await Pod.start(cleanup);
    const { page, errors } = await openPage(cleanup, browser, await pod.dashboardLink());
    await page.getByLabel('Price').fill('321.5');
    await page.getByLabel('Symbol', { exact: true }).fill('SOL/USDT');
    await page.getByRole('radio', { name: 'BUY' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.getByLabel('Price').focus();
    await page.keyboard.press('Enter');
    await untilText(page, 'publish-result', 'Published as 1.');
    await untilPage('the signal', page, async () => (await prices(page)).length === 1);
    expect(await prices(page)).toEqual([321.5]);
    expect([await column(page, 'side'), await column(page, 'symbol')]).toEqual([['SELL'], ['SOL/USDT']]);
    expect(errors).toEqual([]);
    await page.getByLabel('Symbol', { exact: true }).fill('A@B');
    await page.getByRole('button', { name: 'Publish' }).click();
    await untilText(page, 'publish-result', 'Not published');
    const told = await page.locator('#publish-result').innerText();
    expect(told).toMatch(/symbol.*@/);
    expect(told).not.toContain('Nothing was published');
  });

  test('a gateway that wants tokens asks for one', async () => {
    const pod = await shared({ AUTH: 'jwt', JWT_SECRET: SECRET });
    const { page } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'events', 'token_missing');
    expect(await page.locator('#state-text').innerText()).toBe('Refused: a token is needed');
    await page.getByLabel('This gateway requires a token').fill('no token');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await untilText(page, 'events', 'token_malformed');
    expect(await page.locator('#state-text').innerText()).toContain('Refused');
    expect(await page.locator('#reconnect').isVisible()).toBe(false);
    expect(await axeFindings(page)).toEqual([]);
  });

  test('a token for some symbols shows their signals, and no hole where those of others are', async () => {
    const pod = await shared({ AUTH: 'jwt', JWT_SECRET: SECRET });
    const { page } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'events', 'token_missing');
    const token = await secretToken(claims({ topics: ['BTC/USDT'] }));
    await page.getByLabel('This gateway requires a token').fill(token);
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await untilText(page, 'state-text', 'Connected');
    for (const symbol of ['ETH/USDT', 'BTC/USDT', 'ETH/USDT', 'BTC/USDT'])
      await publish(pod, signals(1, 3, { symbol }));
    await untilText(page, 'received', '6');
    await untilText(page, 'missed-note', 'not checked');
    expect(await page.locator('#missed').innerText()).toBe('0');
    expect(await page.locator('#events').innerText()).not.toContain('hole');
  });

  test.each([
    ['a wide screen', WIDE],
    ['a phone', PHONE],
  ])('on %s: the pod is killed, another takes its place, and the list has no hole', async (_, viewport) => {
    const redis = await RedisServer.start(cleanup);
    const port = String(await serverPort());
    const env = { REDIS_URL: redis.url };
    const first = await Pod.start(cleanup, { ...env, PORT: port });
    const producer = await Pod.start(cleanup, env);
    const { page, errors } = await openPage(cleanup, browser, first.url, { viewport });
    await untilText(page, 'state-text', 'Connected');
    await publish(producer, signals(1, 40));
    await untilText(page, 'received', '40');

    await first.child.kill('SIGKILL');
    await untilText(page, 'state-text', 'Connection lost');
    expect(await page.locator('#clients').innerText()).toBe('—');
    await publish(producer, signals(41, 80));
    const second = await Pod.start(cleanup, { ...env, PORT: port });
    await untilText(page, 'state-text', 'Recovered');
    await untilText(page, 'events', 'recovered; 40 missed, all caught up');
    await untilText(page, 'pod', second.name);
    await untilText(page, 'clients', '1');
    await publish(producer, signals(81, 100));
    await untilText(page, 'received', '100');
    await untilPage('the newest signal', page, async () => (await prices(page))[0] === 100);

    expect(await prices(page)).toEqual(countdown(100, 1));
    const places = (await column(page, 'place')).map(Number);
    const newest = places[0] ?? 0;
    expect(places).toEqual(countdown(newest, newest - 99));
    expect(await page.locator('#missed').innerText()).toBe('0');
    expect(await page.locator('#events').innerText()).toContain('Connection lost');
    expect(await overflow(page)).toBe(0);
    expect(await axeFindings(page)).toEqual([]);
    // The browser itself says that a port was closed; nothing else is wrong.
    expect(errors.filter((error) => !/ERR_CONNECTION_(?:REFUSED|RESET)|WebSocket connection/.test(error))).toEqual([]);
  });

  test('a gateway that lost its journal makes a gap, and the page says so', async () => {
    const port = String(await serverPort());
    const first = await Pod.start(cleanup, { PORT: port });
    const { page } = await openPage(cleanup, browser, first.url);
    await untilText(page, 'state-text', 'Connected');
    await publish(first, signals(1, 5));
    await untilText(page, 'received', '5');
    await first.child.kill('SIGKILL');
    const second = await Pod.start(cleanup, { PORT: port });
    await untilText(page, 'events', 'not recovered');
    await untilText(page, 'events', 'the journal was lost');
    await untilText(page, 'missed-note', '1 lost journal');
    expect(await page.locator('#missed').innerText()).toBe('?');
    await publish(second, signals(6, 7));
    await untilText(page, 'received', '7');
    expect((await prices(page)).slice(0, 3)).toEqual([7, 6, 5]);
  });

  test.each([
    ['light', WIDE],
    ['dark', WIDE],
    ['light', PHONE],
    ['dark', PHONE],
  ] as const)('axe finds nothing wrong with the page: %s, %o', async (colorScheme, viewport) => {
    const pod = await Pod.start(cleanup);
    const link = await pod.dashboardLink();
    const { page } = await openPage(cleanup, browser, link, { colorScheme, viewport, reducedMotion: 'reduce' });
    await untilText(page, 'state-text', 'Connected');
    await publish(pod, [...signals(1, 10), ...signals(11, 20, { symbol: 'ETH/USDT' })]);
    for (const [state, service] of [
      ['active', 'A'],
      ['degraded', 'B'],
      ['offline', 'C'],
    ] as const) {
      await pod.post('/v1/status', status(state, { service }));
    }
    await untilText(page, 'services', 'offline');
    await untilText(page, 'received', '20');
    await page.locator('summary').click();
    await page.getByRole('button', { name: 'Publish' }).click();
    await untilText(page, 'publish-result', 'Published');
    expect(await axeFindings(page)).toEqual([]);
    // What it looks like when the pod is gone.
    await pod.child.kill('SIGKILL');
    await untilText(page, 'state-text', 'Connection lost');
    expect(await axeFindings(page)).toEqual([]);
    // It would have found something.
    await page.evaluate(
      'document.querySelector("label[for=filter]").remove(), document.getElementById("filter").placeholder = ""',
    );
    expect((await axeFindings(page)).map(({ id }) => id)).toContain('label');
  });

  test.each([PHONE, NARROW_PHONE])('nothing is wider than a phone: %o', async (viewport) => {
    const pod = await shared();
    const { page } = await openPage(cleanup, browser, pod.url, { viewport, hasTouch: true, isMobile: true });
    await untilText(page, 'state-text', 'Connected');
    await publish(pod, signals(98_765, 98_770, { symbol: 'A-VERY-LONG-SYMBOL-INDEED/USDT', type: 'X'.repeat(300) }));
    await pod.post('/v1/status', status('active', { service: 'S'.repeat(80), message: 'm'.repeat(300) }));
    await untilText(page, 'received', '6');
    await untilText(page, 'services', 'mmm');
    expect(await overflow(page)).toBe(0);
  });

  test('no column of the list is cut off, however wide the window is', async () => {
    const pod = await shared();
    const { page } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'state-text', 'Connected');
    await publish(pod, signals(60_000, 60_003, { symbol: 'DOGE/USDT' }));
    await untilPage('the signals', page, async () => (await prices(page)).length === 4);
    for (const width of [360, 760, 761, 860, 861, 1080, 1081, 1200, 1201, 1280, 1920]) {
      await page.setViewportSize({ width, height: 800 });
      const cut = await page.evaluate<string[]>(`(() => {
        const row = document.querySelector('#signals tr');
        const edge = row.getBoundingClientRect().right;
        const isCut = (cell) => cell.getBoundingClientRect().right > edge || cell.scrollWidth > cell.clientWidth;
        return [...row.cells].filter((cell) => cell.offsetParent !== null && isCut(cell)).map((cell) => cell.className);
      })()`);
      // What made a signal may be as long as it likes.
      expect([width, cut.filter((name) => name !== 'type')]).toEqual([width, []]);
    }
  });

  test('after 5,000 signals the page has no more elements than it had with a full list', async () => {
    const pod = await shared();
    const { page, errors } = await openPage(cleanup, browser, pod.url);
    await untilText(page, 'state-text', 'Connected');
    const elements = (): Promise<number> => page.evaluate<number>('document.querySelectorAll("*").length');
    await publish(pod, signals(1, 1000));
    await untilText(page, 'received', '1,000');
    await untilPage('the newest signal', page, async () => (await prices(page))[0] === 1000);
    await untilPage('the symbol among the proposals', page, () =>
      page.evaluate<boolean>('document.querySelectorAll("#symbols option").length === 1'),
    );
    const before = await elements();
    for (let i = 1; i < 5; i++) await publish(pod, signals(i * 1000 + 1, (i + 1) * 1000));
    await untilText(page, 'received', '5,000');
    await untilPage('the newest signal', page, async () => (await prices(page))[0] === 5000);
    expect(await prices(page)).toEqual(countdown(5000, 4801));
    expect(await elements()).toBe(before);
    expect(await page.locator('#missed').innerText()).toBe('0');
    expect(errors).toEqual([]);
  });
});
