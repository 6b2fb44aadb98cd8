import { expect, test } from 'vitest';
import { describeRedis, parseRedisUrl } from '../../src/redis/url.js';

const local = { host: '127.0.0.1', port: 6379 };

test.each([
  ['redis://127.0.0.1', { kind: 'single', node: local, db: 0, tls: false }],
  ['redis://127.0.0.1/', { kind: 'single', node: local, db: 0, tls: false }],
  ['redis://redis:6380/3', { kind: 'single', node: { host: 'redis', port: 6380 }, db: 3, tls: false }],
  ['rediss://redis.example.com', { kind: 'single', node: { host: 'redis.example.com', port: 6379 }, db: 0, tls: true }],
  ['redis://[::1]', { kind: 'single', node: { host: '::1', port: 6379 }, db: 0, tls: false }],
  ['redis://[fd00::1]:6380/1', { kind: 'single', node: { host: 'fd00::1', port: 6380 }, db: 1, tls: false }],
  [
    'redis://[::ffff:127.0.0.1]:6380',
    { kind: 'single', node: { host: '::ffff:127.0.0.1', port: 6380 }, db: 0, tls: false },
  ],
  [
    'redis://me:secret@127.0.0.1',
    { kind: 'single', node: local, db: 0, tls: false, username: 'me', password: 'secret' },
  ],
  ['redis://:secret@127.0.0.1', { kind: 'single', node: local, db: 0, tls: false, password: 'secret' }],
  ['redis://me@127.0.0.1', { kind: 'single', node: local, db: 0, tls: false, username: 'me' }],
  ['redis://@127.0.0.1', { kind: 'single', node: local, db: 0, tls: false }],
  ['redis://:a:b@127.0.0.1', { kind: 'single', node: local, db: 0, tls: false, password: 'a:b' }],
  [
    'redis://m%40e:p%40ss%2Fw%3Ard%25@127.0.0.1',
    { kind: 'single', node: local, db: 0, tls: false, username: 'm@e', password: 'p@ss/w:rd%' },
  ],
  [
    'redis-sentinel://s1:26380,s2,[::1]/main',
    {
      kind: 'sentinel',
      sentinels: [
        { host: 's1', port: 26_380 },
        { host: 's2', port: 26_379 },
        { host: '::1', port: 26_379 },
      ],
      name: 'main',
      db: 0,
      tls: false,
    },
  ],
  [
    'redis-sentinel://:secret@s1/main/2',
    {
      kind: 'sentinel',
      sentinels: [{ host: 's1', port: 26_379 }],
      name: 'main',
      db: 2,
      tls: false,
      password: 'secret',
    },
  ],
  [
    'redis-cluster://me:secret@c1,c2:7001,[fd00::2]:7002',
    {
      kind: 'cluster',
      nodes: [
        { host: 'c1', port: 6379 },
        { host: 'c2', port: 7001 },
        { host: 'fd00::2', port: 7002 },
      ],
      tls: false,
      username: 'me',
      password: 'secret',
    },
  ],
  ['redis-cluster://c1/', { kind: 'cluster', nodes: [{ host: 'c1', port: 6379 }], tls: false }],
  ['rediss-cluster://c1', { kind: 'cluster', nodes: [{ host: 'c1', port: 6379 }], tls: true }],
  [
    'rediss-sentinel://s1/main',
    { kind: 'sentinel', sentinels: [{ host: 's1', port: 26_379 }], name: 'main', db: 0, tls: true },
  ],
])('%s is read', (url, target) => {
  expect(parseRedisUrl(url)).toEqual(target);
});

test.each([
  '',
  'localhost',
  'localhost:6379',
  '//localhost',
  'http://localhost',
  'redis:localhost',
  'redis:/localhost',
  'redis://',
  'redis://:6379',
  'redis:///0',
  'redis://host:0',
  'redis://host:65536',
  'redis://host:port',
  'redis://host:',
  'redis://host:-1',
  'redis://host/zero',
  'redis://host/-1',
  'redis://host/1/2',
  'redis://host/12345',
  'redis://h1,h2',
  'redis://host?db=1',
  'redis://host#1',
  'redis://::1',
  'redis://[::1',
  'redis://[not-an-address]',
  'redis://a host',
  ' redis://host',
  'redis://host ',
  'redis://host\n',
  'redis://:%zz@host',
  'redis://:%ff@host',
  'redis-sentinel://s1',
  'redis-sentinel://s1/',
  'redis-sentinel://s1,/main',
  'redis-sentinel://s1/main/x',
  'redis-sentinel://s1/main/0/more',
  'redis-cluster://c1,',
  'redis-cluster://c1/1',
  'redis-clusters://c1',
])('%j is not a Redis URL', (url) => {
  expect(parseRedisUrl(url)).toBeUndefined();
});

test.each([
  ['redis://me:secret@127.0.0.1', 'redis://127.0.0.1:6379'],
  ['rediss://me:secret@redis:6380/3', 'rediss://redis:6380/3'],
  ['redis://:secret@[::1]:6380', 'redis://[::1]:6380'],
  ['redis-sentinel://:secret@s1,s2:26380/main', 'redis-sentinel://s1:26379,s2:26380/main'],
  ['redis-sentinel://s1/main/2', 'redis-sentinel://s1:26379/main/2'],
  ['rediss-sentinel://:secret@s1/main', 'rediss-sentinel://s1:26379/main'],
  ['rediss-cluster://:secret@c1', 'rediss-cluster://c1:6379'],
  ['redis-cluster://:secret@c1,[fd00::2]:7000', 'redis-cluster://c1:6379,[fd00::2]:7000'],
])('%s is shown without its secrets, in a form that can be used again', (url, shown) => {
  const target = parseRedisUrl(url);
  expect(target && describeRedis(target)).toBe(shown);
});
