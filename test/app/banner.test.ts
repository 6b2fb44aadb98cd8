import { expect, test } from 'vitest';
import { type BannerFacts, banner, dashboardLink, publishLine } from '../../src/app/banner.js';
import { parseRedisUrl } from '../../src/redis/url.js';

const FACTS: BannerFacts = {
  version: '1.2.3',
  tls: false,
  host: '0.0.0.0',
  port: 3000,
  adminHost: '127.0.0.1',
  adminPort: 3001,
  redis: undefined,
  signalChannel: 'new_signal',
  needsKey: false,
  dashboard: true,
  publishToken: undefined,
};

test('a wildcard address is shown as one that can be opened, an IPv6 address in brackets', () => {
  expect(banner(FACTS)).toContain('  Socket.IO   http://localhost:3000\n');
  expect(banner({ ...FACTS, host: '::', tls: true })).toContain('  Socket.IO   https://localhost:3000\n');
  expect(banner({ ...FACTS, adminHost: '::1' })).toContain('  Admin       http://[::1]:3001 ');
  expect(banner({ ...FACTS, host: '127.0.0.2' })).toContain('  Socket.IO   http://127.0.0.2:3000\n');
});

test('the dashboard is shown with its address, and not when it is off', () => {
  expect(banner(FACTS)).toContain('  Dashboard   http://localhost:3000/\n');
  expect(banner({ ...FACTS, tls: true })).toContain('  Dashboard   https://localhost:3000/\n');
  expect(banner({ ...FACTS, dashboard: false })).not.toContain('Dashboard');
});

test('the link of the dashboard has the token behind the #, on the address and below the path that it is served at', () => {
  const publishToken = 'a-token_1';
  const link = (more: Partial<BannerFacts>): string => dashboardLink({ ...FACTS, publishToken, ...more });
  expect(link({})).toBe('http://localhost:3000/#publish=a-token_1');
  expect(link({ tls: true })).toBe('https://localhost:3000/#publish=a-token_1');
  expect(link({ host: '::' })).toBe('http://localhost:3000/#publish=a-token_1');
  expect(link({ host: '::1', port: 81 })).toBe('http://[::1]:81/#publish=a-token_1');
  expect(link({ host: '10.1.2.3' })).toBe('http://10.1.2.3:3000/#publish=a-token_1');
  expect(link({ basePath: '/feed' })).toBe('http://localhost:3000/feed/#publish=a-token_1');
  expect(link({ publishToken: undefined, basePath: '/feed' })).toBe('http://localhost:3000/feed/');
  expect(banner({ ...FACTS, publishToken })).toContain('  Dashboard   http://localhost:3000/#publish=a-token_1\n');
  expect(banner({ ...FACTS, publishToken, dashboard: false })).not.toContain(publishToken);
});

test.each([
  ['redis://127.0.0.1:6380', 'redis-cli -h 127.0.0.1 -p 6380 PUBLISH '],
  ['redis://[::1]', 'redis-cli -h ::1 -p 6379 PUBLISH '],
  // Where redis-cli would need a secret, or more than one line, the publish API is shown.
  ['redis://:hunter2@127.0.0.1', 'curl -s http://127.0.0.1:3001/v1/signals '],
  ['rediss://127.0.0.1', 'curl -s http://127.0.0.1:3001/v1/signals '],
  ['redis-sentinel://:hunter2@127.0.0.1/main', 'curl -s http://127.0.0.1:3001/v1/signals '],
  ['redis-cluster://:hunter2@127.0.0.1', 'curl -s http://127.0.0.1:3001/v1/signals '],
])('with %s the line to paste begins "%s", and no secret is shown', (url, start) => {
  const facts = { ...FACTS, redis: parseRedisUrl(url) };
  expect(facts.redis).toBeDefined();
  expect(publishLine(facts).slice(0, start.length)).toBe(start);
  expect(banner(facts)).not.toContain('hunter2');
});
