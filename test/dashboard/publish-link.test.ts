import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, axeFindings, hasChromium, openPage, startBrowser } from '../support/browser.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST, serverPort } from '../support/processes.js';
import { sharedPods } from '../support/shared-pods.js';
import { until } from '../support/until.js';

async function untilVisible(page: Page, id: string): Promise<void> {
  await until(`#${id} to be seen`, () => page.locator(`#${id}`).isVisible(), { limit: 30_000 });
}

async function untilHow(page: Page, text: string): Promise<void> {
  const how = page.locator('#publish-how');
  await until(`"${text}"`, async () => (await how.isVisible()) && ((await how.textContent()) ?? '').includes(text), {
    limit: 30_000,
  });
}

/** Publishes by the form, and waits until the page says so. */
async function publishBy(page: Page, price: string): Promise<void> {
  await page.getByLabel('Price').fill(price);
  await page.getByRole('button', { name: 'Publish' }).click();
  const result = page.locator('#publish-result');
  await until('to be published', async () => (await result.textContent())?.startsWith('Published as'), {
    limit: 30_000,
  });
  await until('the signal', async () => (await page.locator('#signals td.price').allTextContents()).includes(price), {
    limit: 30_000,
  });
}

async function present(page: Page, text: string): Promise<void> {
  await page.locator('#publish-key').fill(text);
  await page.locator('#publish-key').press('Enter');
}

/** A page of another origin. */
async function strangePage(cleanup: Cleanup): Promise<string> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>A page</title>');
  }).listen(0, HOST);
  cleanup.add(server, (self) => {
    self.close();
    self.closeAllConnections();
  });
  await once(server, 'listening');
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}

describe.skipIf(!hasChromium)(`in a browser (skipped where there is no ${CHROMIUM})`, () => {
  const whole = new Cleanup();
  const cleanup = new Cleanup();
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser(whole, [`--host-resolver-rules=MAP evil.example ${HOST}`]);
  });
  afterEach(() => cleanup.run());
  const shared = sharedPods();
  afterAll(() => whole.run());

  test('whoever opens the link publishes, after a reload too, and the token is in no address', async () => {
    const pod = await shared();
    const link = await pod.dashboardLink();
    const { page, errors, asked } = await openPage(cleanup, browser, link);
    await untilVisible(page, 'publish-form');
    expect(page.url()).toBe(`${pod.url}/`);
    expect(await page.locator('#publish-key-form').isVisible()).toBe(false);
    await publishBy(page, '321.5');
    await page.reload();
    await untilVisible(page, 'publish-form');
    await publishBy(page, '322.5');
    const [, token = ''] = link.split('#publish=');
    // The first is the link itself, of which browsers send what stands before the "#".
    expect(asked.slice(1).filter((address) => address.includes(token))).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('without the link there is no form but what to do, and the token can be pasted', async () => {
    const pod = await shared();
    const { page, errors } = await openPage(cleanup, browser, pod.url);
    await untilHow(page, 'open the link that the gateway logs when it starts');
    expect(await page.locator('#publish-form').isVisible()).toBe(false);
    expect(await axeFindings(page)).toEqual([]);
    for (const wrong of ['wrong', 'schlüssel ✓']) {
      await present(page, wrong);
      await untilHow(page, 'Open the newest link from the log of this pod');
    }
    expect(await axeFindings(page)).toEqual([]);
    await present(page, await pod.dashboardLink());
    await untilVisible(page, 'publish-form');
    expect(await page.evaluate('document.activeElement.name')).toBe('signal');
    await publishBy(page, '7.5');
    expect(errors).toEqual([]);
  });

  test('after a restart the page says to open the new link, and publishes once it is opened in the same tab', async () => {
    const env = { PORT: String(await serverPort()) };
    const first = await Pod.start(cleanup, env);
    const { page } = await openPage(cleanup, browser, await first.dashboardLink());
    await untilVisible(page, 'publish-form');
    await first.child.kill('SIGKILL');
    const second = await Pod.start(cleanup, env);
    await untilHow(page, 'the gateway was restarted');
    expect(await page.locator('#publish-form').isVisible()).toBe(false);
    await page.reload();
    await untilHow(page, 'the gateway was restarted');
    // The page is there already, so that nothing is loaded anew.
    await page.goto(await second.dashboardLink());
    await untilVisible(page, 'publish-form');
    expect(page.url()).toBe(`${second.url}/`);
    await publishBy(page, '8.5');
  });

  test('with API_KEY a key is entered, or stands in the link, and a wrong one is said to be wrong', async () => {
    const pod = await Pod.start(cleanup, { API_KEY: 'first-key,50%-key' });
    const { page } = await openPage(cleanup, browser, pod.url);
    await untilHow(page, 'enter a key of the gateway');
    await present(page, 'wrong');
    await untilHow(page, 'not in API_KEY');
    expect(await axeFindings(page)).toEqual([]);
    await present(page, ' first-key ');
    await untilVisible(page, 'publish-form');
    await publishBy(page, '9.5');
    for (const key of [encodeURIComponent('50%-key'), '50%-key']) {
      const other = await openPage(cleanup, browser, `${pod.url}/#publish=${key}`);
      await untilVisible(other.page, 'publish-form');
      expect(other.page.url()).toBe(`${pod.url}/`);
    }
  });

  test('the dashboard under a name that leads here publishes nothing without the link (DNS rebinding)', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url);
    const { page } = await openPage(cleanup, browser, `http://evil.example:${pod.port}/`);
    await untilHow(page, 'open the link');
    const status = await page.evaluate<number>(`fetch('/dashboard/signals', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }).then((answer) => answer.status)`);
    expect([status, client.signals]).toEqual([401, []]);
  });

  test('a page of another origin publishes nothing, with the token neither', async () => {
    const pod = await shared();
    const [, token = ''] = (await pod.dashboardLink()).split('#publish=');
    const { page } = await openPage(cleanup, browser, await strangePage(cleanup));
    const post = (headers: object, mode: string): Promise<string> =>
      page.evaluate<string>(`fetch('${pod.url}/dashboard/signals', { method: 'POST', mode: '${mode}',
        headers: ${JSON.stringify(headers)}, body: '{}' }).then((answer) => answer.type, (error) => error.message)`);
    expect(await post({ 'content-type': 'application/json', authorization: `Bearer ${token}` }, 'cors')).toBe(
      'Failed to fetch',
    );
    // What needs no permission has no token: browsers leave the header out.
    expect(await post({ authorization: `Bearer ${token}` }, 'no-cors')).toBe('opaque');
    expect(await pod.metric('gateway_refusals_total', { reason: 'publish_token_required' })).toBe(1);
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(0);
    expect(await pod.metric('gateway_messages_rejected_total')).toBe(0);
  });
});
