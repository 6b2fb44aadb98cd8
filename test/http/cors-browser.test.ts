import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Page } from 'playwright-core';
import { afterEach, describe, expect, test } from 'vitest';
import { hasChromium, openPage, startBrowser } from '../support/browser.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** The stock client, as pages load it. */
const CLIENT = readFileSync(new URL('../../node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url));

/** Serves a page with the stock client on an origin of its own. @returns the origin */
async function servePage(): Promise<string> {
  const server = createServer((request, response) => {
    const isScript = request.url === '/client.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? CLIENT : '<!doctype html><script src="/client.js"></script>');
  });
  cleanup.add(server, (self) => {
    self.close();
    self.closeAllConnections();
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return `http://${HOST}:${(server.address() as { port: number }).port}`;
}

/** A page on another origin than the pod's, and the pod, which lists that origin. */
async function pageBeside(env: Readonly<Record<string, string>>): Promise<{ page: Page; pod: Pod }> {
  const origin = await servePage();
  const browser = await startBrowser(cleanup);
  const { page } = await openPage(cleanup, browser, origin);
  // Started last: a pod that takes only so many clients has none yet.
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: origin, MAX_PAYLOAD: '16384', ...env });
  return { page, pod };
}

// These run in the page.

async function fetchThere([address, options]: readonly [string, object]): Promise<string> {
  try {
    const response = await fetch(address, options);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.endsWith('json') === true && text !== '';
    return `${response.status} ${isJson ? String((JSON.parse(text) as { code?: string | number }).code) : text}`;
  } catch (error) {
    return String(error);
  }
}

/** As much as is needed here of the stock client. */
interface Client {
  readonly io: { readonly engine: { readonly transport: { readonly name: string } } };
  on(event: 'connect', listener: () => void): void;
  on(
    event: 'connect_error',
    listener: (error: { message: string; context?: { status?: number; responseText?: string } }) => void,
  ): void;
  disconnect(): void;
}

function connectThere([address, options]: readonly [string, object]): Promise<string> {
  return new Promise((resolve) => {
    const { io } = globalThis as unknown as { io: (address: string, options: object) => Client };
    const client = io(address, { reconnection: false, forceNew: true, ...options });
    client.on('connect', () => {
      resolve(`connected over ${client.io.engine.transport.name}`);
      client.disconnect();
    });
    client.on('connect_error', ({ message, context }) =>
      resolve(`${message} ${String(context?.status)} ${String(context?.responseText)}`),
    );
  });
}

/** What `fetch` lets a page see: the status, and the code or the text; or what it throws. */
function fetched(page: Page, url: string, init: object = {}): Promise<string> {
  return page.evaluate(fetchThere, [url, init] as const);
}

/** Connects the stock client in the page. @returns its transport, or why not */
function connected(page: Page, url: string, options: object): Promise<string> {
  return page.evaluate(connectThere, [url, options] as const);
}

const POLLING = '/socket.io/?EIO=4&transport=polling';

describe.runIf(hasChromium)('a page on another origin, in a browser', () => {
  test('reads the status and the code of every refusal', async () => {
    const { page, pod } = await pageBeside({});
    const sid = /"sid":"([^"]+)"/.exec(await fetched(page, pod.url + POLLING))?.[1] ?? '';
    const seen: Record<string, string> = {};
    const note = async (what: string, path: string, init?: object): Promise<void> => {
      seen[what] = await fetched(page, pod.url + path, init);
    };
    await note('no query', '/socket.io/');
    await note('an unknown transport', '/socket.io/?EIO=4&transport=foo');
    await note('a stale session', `${POLLING}&sid=none`);
    await note('an old protocol', '/socket.io/?EIO=3&transport=polling');
    await note('a POST without a session', POLLING, { method: 'POST', body: '40' });
    await note('nothing there', '/nothing');
    await note('a method that is not taken', '/dashboard/info', { method: 'POST', body: '40' });
    await note('HEAD', POLLING, { method: 'HEAD' });
    await note('a body too large', `${POLLING}&sid=${sid}`, { method: 'POST', body: 'x'.repeat(20_000) });
    expect(seen).toEqual({
      'no query': '400 0',
      'an unknown transport': '400 0',
      'a stale session': '400 1',
      'an old protocol': '400 5',
      'a POST without a session': '400 2',
      'nothing there': '404 not_found',
      'a method that is not taken': '405 method_not_allowed',
      HEAD: '405 ',
      'a body too large': '413 body_too_large',
    });
  });

  test('reads what is wrong with headers of its own', async () => {
    const { page, pod } = await pageBeside({});
    const sid = /"sid":"([^"]+)"/.exec(await fetched(page, pod.url + POLLING))?.[1] ?? '';
    const post = { method: 'POST', body: '40', headers: { 'content-encoding': 'gzip' } };
    expect(await fetched(page, `${pod.url}${POLLING}&sid=${sid}`, post)).toBe('415 unsupported_encoding');
    const long = { headers: { 'x-long': 'x'.repeat(24_000) } };
    expect(await fetched(page, pod.url + POLLING, long)).toBe('431 headers_too_large');
  });

  test.each([
    ['503 max_connections', { MAX_CONNECTIONS: '1' }],
    ['429 max_connections_per_ip', { MAX_CONNECTIONS_PER_IP: '1' }],
  ])('reads %s while there is no room, with fetch and with the stock client', async (refusal, env) => {
    const { page, pod } = await pageBeside(env);
    // One that has only shaken hands takes nobody's place.
    await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
    expect(await fetched(page, pod.url + POLLING)).toBe(refusal);
    const [status, code] = refusal.split(' ');
    const why = await connected(page, pod.url, { transports: ['polling'] });
    expect(why).toContain(`xhr poll error ${status}`);
    expect(why).toContain(`"code":"${code}"`);
  });

  test('connects over polling with the headers that tracing tools add, and with a token', async () => {
    const { page, pod } = await pageBeside({});
    for (const extraHeaders of [
      { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
      { baggage: 'a=b', 'sentry-trace': '1-2-1', 'x-anything': 'c' },
      { authorization: 'Bearer x' },
    ]) {
      expect(await connected(page, pod.url, { transports: ['polling'], extraHeaders })).toBe('connected over polling');
    }
  });

  test('connects with credentials where its origin is listed', async () => {
    const { page, pod } = await pageBeside({});
    for (const transport of ['polling', 'websocket']) {
      const options = { transports: [transport], withCredentials: true, extraHeaders: { traceparent: '00' } };
      expect(await connected(page, pod.url, options)).toBe(`connected over ${transport}`);
    }
    expect(await fetched(page, `${pod.url}${POLLING}&sid=none`, { credentials: 'include' })).toBe('400 1');
  });

  test('connects with headers of its own where every origin may', async () => {
    const { page, pod } = await pageBeside({ CORS_ORIGIN: '*' });
    const extraHeaders = { authorization: 'Bearer x', baggage: 'a=b' };
    expect(await connected(page, pod.url, { transports: ['polling'], extraHeaders })).toBe('connected over polling');
    expect(await fetched(page, `${pod.url}${POLLING}&sid=none`)).toBe('400 1');
  });

  test('reads nothing where its origin is not listed', async () => {
    const { page, pod } = await pageBeside({ CORS_ORIGIN: 'https://app.example.com' });
    for (const path of [POLLING, '/nothing', `${POLLING}&sid=none`]) {
      expect(await fetched(page, pod.url + path)).toBe('TypeError: Failed to fetch');
    }
    expect(await connected(page, pod.url, { transports: ['websocket'] })).toContain('websocket error');
  });
});
