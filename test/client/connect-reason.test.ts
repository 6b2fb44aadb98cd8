import { afterEach, describe, expect, test } from 'vitest';
import { connectReason } from '../../src/client/connect-reason.js';
import { connectSignals } from '../../src/client/signal-client.js';
import { hasChromium, openPage, startBrowser } from '../support/browser.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';
import { rowsOf, servePage } from './browser.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PAGE = 'test/client/pages/credentials.html';

test('a client that is refused over long-polling says why in the words of the gateway', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '1' });
  const first = cleanup.add(connectSignals(pod.url), (client) => client.close());
  await until('the first client', () => first.state.name === 'connected');
  const second = cleanup.add(connectSignals(pod.url, { socket: { transports: ['polling'] } }), (one) => one.close());
  const state = await until('the second to be refused', () => second.state.name === 'reconnecting' && second.state);
  expect(state).toEqual({
    name: 'reconnecting',
    reason: 'This pod is full; try again later. (max_connections)',
  });
});

test('a reason that does not come from the gateway is left unchanged', () => {
  const error = Object.assign(new Error('xhr poll error'), { context: { status: 502, responseText: '<html>' } });
  expect(connectReason(error, true)).toBe('xhr poll error');
  expect(connectReason(new Error('websocket error'), true)).toBe('websocket error');
});

/** Opens the page; `own` in place of a list of origins stands for the one that it has. */
async function statesOf(env: Readonly<Record<string, string>>, query: string): Promise<() => Promise<string[]>> {
  const page = await servePage(cleanup, PAGE);
  const pod = await Pod.start(cleanup, {
    ...env,
    ...(env['CORS_ORIGIN'] === 'own' && { CORS_ORIGIN: new URL(page).origin }),
  });
  const watched = await openPage(cleanup, await startBrowser(cleanup), `${page}?gateway=${pod.url}${query}`);
  return () => rowsOf(watched.page, '#states');
}

describe.skipIf(!hasChromium)('a page of another origin that sends cookies along', () => {
  test('is told what to set where every origin is allowed, which is not enough for cookies', async () => {
    const states = await statesOf({}, '&credentials');
    await until('a reason', async () => (await states()).length > 0, { seen: states });
    expect((await states())[0]).toContain("needs the origin of this page in the gateway's CORS_ORIGIN");
  });

  test('connects without cookies, and with them where its origin is listed', async () => {
    for (const [env, query] of [
      [{}, ''],
      [{ CORS_ORIGIN: 'own' }, '&credentials'],
    ] as const) {
      const states = await statesOf(env, query);
      await until('a connection', async () => (await states()).includes('connected'), { seen: states });
      expect(await states()).toEqual(['connected']);
    }
  });
});
