import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { httpRequest } from '../support/http.js';
import { MAIN, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const NOTHING = { status: 404, body: '{"code":"not_found","message":"Not found."}' };

/** The script and the style that the page names. */
function assetsOf(html: string): string[] {
  return [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path);
}

describe('with the dashboard on', () => {
  let pod: Pod;
  beforeEach(async () => {
    pod = await Pod.start(cleanup);
  });

  test('the page is at / with a policy that allows nothing but its own files', async () => {
    const page = await httpRequest(`${pod.url}/`);
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const policy = String(page.headers['content-security-policy']).split('; ');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.headers['content-security-policy']).not.toContain('unsafe');
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    expect(page.headers['referrer-policy']).toBe('no-referrer');
    expect(page.headers['cache-control']).toBe('no-cache');
    expect(page.body).not.toMatch(/<style|style=|<script(?![^>]*src=)|\son\w+=/);
  });

  test('every file that the page names is there, may be kept for ever, and is of the right type', async () => {
    const { body } = await httpRequest(`${pod.url}/`);
    const assets = assetsOf(body);
    expect(assets.length).toBeGreaterThanOrEqual(3);
    const types = new Set<unknown>();
    for (const asset of assets) {
      const file = await httpRequest(pod.url + asset);
      expect([asset, file.status, file.headers['cache-control']]).toEqual([
        asset,
        200,
        'public, max-age=31536000, immutable',
      ]);
      types.add(file.headers['content-type']);
    }
    expect(types).toEqual(new Set(['text/javascript; charset=utf-8', 'text/css; charset=utf-8', 'image/svg+xml']));
  });

  test('who has the page already is told so, and who takes gzip gets it', async () => {
    const plain = await httpRequest(`${pod.url}/`);
    const known = await httpRequest(`${pod.url}/`, { headers: { 'if-none-match': `"x", ${plain.headers.etag}` } });
    expect([known.status, known.body]).toEqual([304, '']);
    const other = await httpRequest(`${pod.url}/`, { headers: { 'if-none-match': '"x"' } });
    expect(other.status).toBe(200);
    const refused = await httpRequest(`${pod.url}/`, { headers: { 'accept-encoding': 'br, gzip;q=0' } });
    expect(refused.headers['content-encoding']).toBeUndefined();
    const zipped = await fetch(`${pod.url}/`, { headers: { 'accept-encoding': 'br, gzip' } });
    expect(zipped.headers.get('content-encoding')).toBe('gzip');
    expect(zipped.headers.get('etag')).not.toBe(plain.headers.etag);
    expect(await zipped.text()).toBe(plain.body);
  });

  test('HEAD answers as GET does, without the page', async () => {
    const get = await httpRequest(`${pod.url}/`);
    const head = await httpRequest(`${pod.url}/`, { method: 'HEAD' });
    expect([head.status, head.body]).toEqual([200, '']);
    expect(head.headers['content-length']).toBe(String(Buffer.byteLength(get.body)));
    expect(head.headers.etag).toBe(get.headers.etag);
    const info = await httpRequest(`${pod.url}/dashboard/info`, { method: 'HEAD' });
    expect([info.status, info.body]).toEqual([200, '']);
  });

  test('everywhere else there is nothing, as before', async () => {
    for (const path of [
      '/index.html',
      '/dashboard',
      '/dashboard/',
      '/dashboard/assets/',
      '/dashboard/assets/none.js',
    ]) {
      expect([path, await httpRequest(pod.url + path)]).toMatchObject([path, NOTHING]);
    }
    expect(await httpRequest(`${pod.url}/dashboard/assets/../../package.json`)).toMatchObject(NOTHING);
    expect(await httpRequest(`${pod.url}/dashboard/assets/%2e%2e/index.html`)).toMatchObject(NOTHING);
    expect(await httpRequest(`${pod.url}/`, { method: 'POST', body: '{}' })).toMatchObject(NOTHING);
  });

  test('the page can ask for the state of its pod', async () => {
    const info = await httpRequest(`${pod.url}/dashboard/info`);
    expect(info.headers['cache-control']).toBe('no-store');
    expect(JSON.parse(info.body)).toEqual({
      pod: pod.name,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      connections: 0,
      head: expect.stringMatching(/^[\w-]+:0$/) as string,
      publishWith: 'link',
      mayPublish: false,
    });
    expect((await httpRequest(`${pod.url}/dashboard/info`, { method: 'POST', body: '{}' })).status).toBe(405);
  });
});

test('with DASHBOARD=off there is nothing at any of its paths', async () => {
  const pod = await Pod.start(cleanup, { DASHBOARD: 'off' });
  for (const path of ['/', '/dashboard/info', '/dashboard/signals']) {
    expect([path, await httpRequest(pod.url + path)]).toMatchObject([path, NOTHING]);
  }
});

test('a gateway without a built dashboard serves everything else and says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-dist-'));
  cleanup.add(folder, () => rmSync(folder, { recursive: true }));
  const root = dirname(dirname(MAIN));
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  rmSync(join(folder, 'dist/dashboard/page'), { recursive: true });
  const pod = await Pod.start(cleanup, {}, { main: join(folder, 'dist/main.js') });
  expect(await httpRequest(`${pod.url}/`)).toMatchObject(NOTHING);
  const told = pod.logs().filter(({ msg }) => String(msg).includes('npm run build'));
  expect(told).toHaveLength(1);
});
