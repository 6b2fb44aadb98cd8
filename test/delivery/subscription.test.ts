import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { TcpForwarder } from '../support/tcp-forwarder.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

function subscribe(client: FeedClient, ...args: unknown[]): Promise<SubscribeAnswer> {
  return client.socket.timeout(30_000).emitWithAck('subscribe', ...args) as Promise<SubscribeAnswer>;
}

/** Where clients' topics are kept in Redis. */
const KEPT = '{gateway}:kept-topics';

/** The topics that are kept, of all clients. */
async function keptTopics(admin: Redis): Promise<string[]> {
  return (await admin.hvals(KEPT)).map((record) => record.split(' ').slice(3).join(' '));
}

/** Publishes one signal for each symbol, or `symbol@timeframe`, priced by its place in the list. */
async function post(pod: Pod, ...topics: string[]): Promise<void> {
  const body = topics.map((topic, i) => {
    const [symbol, timeframe = '1m'] = topic.split('@');
    return signal(i, { symbol, timeframe });
  });
  expect((await pod.post('/v1/signals', body)).status).toBe(202);
}

function symbols(client: FeedClient): string[] {
  return client.signals.map(([payload]) => {
    const { symbol, timeframe } = payload as { symbol: string; timeframe: string };
    return `${symbol}@${timeframe}`;
  });
}

async function got(client: FeedClient, ...expected: string[]): Promise<void> {
  await until(`${expected.length} signals`, () => client.signals.length >= expected.length, { seen: () => client });
  expect(symbols(client)).toEqual(expected.map((topic) => (topic.includes('@') ? topic : `${topic}@1m`)));
}

describe.each(['websocket', 'polling'])('over %s', (transport) => {
  const transports = [transport];

  test('subscribe replaces the whole set, answers without what is covered, and nothing old is sent', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url, { transports });
    await post(pod, 'A', 'B');
    await got(client, 'A', 'B');
    expect(await subscribe(client, ['A', 'B@5m', 'A@1m', 'A'])).toEqual({ ok: true, topics: ['A', 'B@5m'] });
    await post(pod, 'A', 'B', 'B@5m', 'C');
    await got(client, 'A', 'B', 'A', 'B@5m');
    expect(await subscribe(client, ['C', '*'])).toEqual({ ok: true, topics: ['*'] });
    await post(pod, 'D');
    await got(client, 'A', 'B', 'A', 'B@5m', 'D');
    expect(await subscribe(client, [])).toEqual({ ok: true, topics: [] });
    await post(pod, 'A');
    expect((await pod.post('/v1/status', status('active', { service: transport }))).status).toBe(202);
    const hasStatus = (): boolean =>
      client.statuses.some(([one]) => (one as { service: string }).service === transport);
    await until('the status', hasStatus, { seen: () => client });
    await got(client, 'A', 'B', 'A', 'B@5m', 'D');
  });

  test('a signal that both the old and the new topics cover arrives once, whenever they are switched', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url, { transports, auth: { topics: ['A'] } });
    let sent = 0;
    const publishing = (async () => {
      for (let round = 0; round < 60; round++) {
        const body = Array.from({ length: 5 }, () => signal(sent++, { symbol: 'A' }));
        expect((await pod.post('/v1/signals', body)).status).toBe(202);
      }
    })();
    const sets = [['A@1m', 'B'], ['*'], ['A', 'C'], ['A@1m']];
    let switches = 0;
    while (client.signals.length < 250) {
      const topics = sets[switches++ % sets.length];
      expect(await subscribe(client, topics)).toEqual({ ok: true, topics });
    }
    await publishing;
    await until('all of them', () => client.signals.length >= sent, { seen: () => client });
    expect(client.signals.map(([payload]) => (payload as { price: number }).price)).toEqual(
      Array.from({ length: sent }, (_, i) => i),
    );
    expect(switches).toBeGreaterThan(3);
  });
});

test('an invalid set of topics is refused with a code, and changes nothing', async () => {
  const pod = await shared();
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], auth: { topics: ['A'] } });
  const bad: [unknown[], string][] = [
    [[], 'invalid_topics'],
    [[null], 'invalid_topics'],
    [['A'], 'invalid_topics'],
    [[{ 0: 'A', length: 1 }], 'invalid_topics'],
    [[['A', 5]], 'invalid_topics'],
    [[['A@1m@2m']], 'invalid_topics'],
    [[['x'.repeat(65)]], 'invalid_topics'],
    [[Array.from({ length: 1025 }, (_, i) => `S${i}`)], 'too_many_topics'],
  ];
  for (const [args, code] of bad) {
    const answer = await subscribe(client, ...args);
    expect(answer).toMatchObject({ ok: false, error: { code } });
    expect(answer.ok ? '' : answer.error.message).not.toBe('');
  }
  expect(
    await subscribe(
      client,
      Array.from({ length: 1024 }, (_, i) => `S${i}`),
    ),
  ).toMatchObject({ ok: true });
  expect(await subscribe(client, ['A'])).toEqual({ ok: true, topics: ['A'] });
  await post(pod, 'S7', 'A');
  await got(client, 'A');
  // Without an acknowledgement there is nobody to answer; it is carried out all the same.
  client.socket.emit('subscribe', ['B']);
  client.socket.emit('subscribe');
  expect(await subscribe(client, ['B', 'C'])).toMatchObject({ ok: true });
  await post(pod, 'A', 'C');
  await got(client, 'A', 'C');
  expect(client.disconnects).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('of requests that all come at once the last one holds, and a client that sends too many is told so', async () => {
  const pod = await shared();
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => subscribe(client, [`S${i}`])));
  const codes = new Set(answers.map((answer) => (answer.ok ? 'ok' : answer.error.code)));
  expect([...codes].filter((code) => code !== 'ok' && code !== 'busy')).toEqual([]);
  const last = answers.findLastIndex(({ ok }) => ok);
  await post(pod, ...Array.from({ length: 60 }, (_, i) => `S${i}`));
  await got(client, `S${last}`);
});

test('a client that changes a thousand topics again and again is told to wait, and keeps what it was answered last', async () => {
  const pod = await shared();
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const sets = ['A', 'B'].map((name) => Array.from({ length: 1000 }, (_, i) => `${name}${i}`));
  const answers: SubscribeAnswer[] = [];
  for (let i = 0; i < 10; i++) answers.push(await subscribe(client, sets[i % 2]));
  expect(answers[0]).toMatchObject({ ok: true });
  expect(answers[2]).toMatchObject({ ok: false, error: { code: 'busy' } });
  expect(answers.slice(2).filter(({ ok }) => !ok).length).toBeGreaterThan(2);
  // The last that was answered well holds.
  const held = answers.findLastIndex(({ ok }) => ok) % 2 === 0 ? 'A0' : 'B0';
  await post(pod, held === 'A0' ? 'B0' : 'A0', held, held);
  await got(client, held, held);
  expect(client.disconnects).toEqual([]);
});

describe.each([
  ['without Redis, on the same pod', false],
  ['with Redis, on another pod after a SIGKILL', true],
])('topics chosen while connected hold over a recovered reconnect: %s', (_name, withRedis) => {
  test('and what is replayed is by them, from the place of the choice on', async () => {
    const redis = withRedis ? await RedisServer.start(cleanup) : undefined;
    const env = redis === undefined ? {} : { REDIS_URL: redis.url };
    const pods = await Promise.all((withRedis ? [1, 2] : [1]).map(() => Pod.start(cleanup, env)));
    const [first, second = first] = pods;
    if (first === undefined || second === undefined) throw new Error('pods were started');
    const door = await FrontDoor.open(cleanup, pods);
    door.use(first);
    const client = await FeedClient.connect(cleanup, door.url, {
      transports: ['websocket'],
      auth: { topics: ['A'] },
      reconnectionDelay: 1000,
      reconnectionDelayMax: 1000,
    });
    await post(first, 'A', 'B', 'B');
    await got(client, 'A');
    expect(await subscribe(client, ['B'])).toEqual({ ok: true, topics: ['B'] });
    if (withRedis) await first.child.kill();
    else door.cut();
    await until('the client to be away', () => !client.socket.connected);
    await post(second, 'A', 'B@3m');
    await client.welcomed(2);
    await got(client, 'A', 'B@3m');
    await post(second, 'A', 'B@4m');
    await got(client, 'A', 'B@3m', 'B@4m');
    expect(client.socket.recovered).toBe(true);
    // And once more, without another choice in between.
    door.cut();
    await until('the client to be away again', () => !client.socket.connected);
    await post(second, 'A', 'B@5m');
    await client.welcomed(3);
    await got(client, 'A', 'B@3m', 'B@4m', 'B@5m');
  });
});

test('a client that changes its topics while its replay runs gets what it missed by the old ones, then the answer, then the new ones', async () => {
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: '65536' });
  const door = await FrontDoor.open(cleanup, [pod]);
  const client = await FeedClient.connect(cleanup, door.url, {
    transports: ['websocket'],
    auth: { topics: ['A'] },
    // It is away until everything that it is to miss has been published.
    reconnection: false,
  });
  await post(pod, 'A');
  await got(client, 'A');
  door.cut();
  await until('the client to be away', () => !client.socket.connected);
  const missed = 2000;
  for (let i = 0; i < missed; i += 500) {
    const body = Array.from({ length: 1000 }, (_, n) =>
      signal(i + n, { symbol: n % 2 === 0 ? 'A' : 'B', filler: 'x'.repeat(1000) }),
    );
    expect((await pod.post('/v1/signals', body)).status).toBe(202);
  }
  let seenAtAnswer = 0;
  client.socket.once('welcome', () => {
    void subscribe(client, ['B']).then((answer) => {
      expect(answer).toEqual({ ok: true, topics: ['B'] });
      seenAtAnswer = client.signals.length;
    });
  });
  client.socket.connect();
  await until('the answer', () => seenAtAnswer > 0, { seen: () => client, limit: 60_000 });
  expect(seenAtAnswer).toBe(1 + missed);
  await post(pod, 'A', 'B');
  await until('the live one', () => client.signals.length > seenAtAnswer, { seen: () => client });
  expect(new Set(symbols(client).slice(0, seenAtAnswer))).toEqual(new Set(['A@1m']));
  expect(symbols(client).slice(seenAtAnswer)).toEqual(['B@1m']);
});

test('while Redis is unreachable a subscribe is refused, nothing changes, and it works again when Redis is back', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], auth: { topics: ['A'] } });
  await redis.kill();
  await pod.notReady('redis');
  expect(await subscribe(client, ['B'])).toMatchObject({ ok: false, error: { code: 'unavailable' } });
  await redis.restart();
  await pod.ready();
  await until('to publish', async () => (await pod.post('/v1/signals', signal(1, { symbol: 'A' }))).status === 202);
  await until('the signal of the old topics', () => client.signals.length > 0);
  expect(await subscribe(client, ['B'])).toEqual({ ok: true, topics: ['B'] });
});

describe.each([
  ['on the same pod', 1],
  ['on another pod', 2],
])('a connection that is dead and not noticed yet, and its successor %s', (_name, count) => {
  test('share a client whose last choice holds, whatever the old one does later', async () => {
    const redis = await RedisServer.start(cleanup);
    const link = await TcpForwarder.open(cleanup, redis.port);
    const admin = redis.client(cleanup);
    const pods = await Promise.all(Array.from({ length: count }, () => Pod.start(cleanup, { REDIS_URL: link.url })));
    const [first, second = first] = pods;
    if (first === undefined || second === undefined) throw new Error('pods were started');
    const door = await FrontDoor.open(cleanup, pods);
    door.use(first);
    const client = await FeedClient.connect(cleanup, door.url, { transports: ['websocket'] });
    expect(await subscribe(client, ['A'])).toEqual({ ok: true, topics: ['A'] });
    door.use(second);
    const notice = door.strand();
    await client.welcomed(2);
    expect(client.socket.recovered).toBe(true);
    expect(await subscribe(client, ['B'])).toEqual({ ok: true, topics: ['B'] });
    const kept = async (): Promise<boolean> => (await keptTopics(admin)).includes('["B"]');
    const renewed = async (): Promise<void> => {
      await admin.del(KEPT);
      link.cut();
      await until('the topics to be kept again', kept);
    };

    // Both connections renew what they know of.
    await renewed();
    const before = await first.metric('gateway_disconnects_total');
    notice();
    await until('the old connection to end', async () => (await first.metric('gateway_disconnects_total')) > before);
    await post(second, 'A', 'B');
    await got(client, 'B');
    expect(await kept()).toBe(true);
    // The new one still does.
    await renewed();

    door.cut();
    door.use(second);
    await client.welcomed(3);
    expect(client.socket.recovered).toBe(true);
    await post(second, 'A', 'B@5m');
    await got(client, 'B', 'B@5m');
  });
});

test('topics hold over a reconnect that the client asks for after a disconnect of its own', async () => {
  const pod = await shared();
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], auth: { topics: ['A'] } });
  expect(await subscribe(client, ['B'])).toEqual({ ok: true, topics: ['B'] });
  client.socket.disconnect();
  await post(pod, 'A', 'B@3m');
  client.socket.connect();
  await client.welcomed(2);
  expect(client.socket.recovered).toBe(true);
  await got(client, 'B@3m');
});

test('topics of a subscribe that was answered unavailable do not hold, even where they were kept', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const door = await FrontDoor.open(cleanup, [pod]);
  const options = { transports: ['websocket'], auth: { topics: ['X'] } };
  const clients = await Promise.all([1, 2].map(() => FeedClient.connect(cleanup, door.url, options)));
  const [chooses, never] = clients;
  if (chooses === undefined || never === undefined) throw new Error('two clients were connected');
  expect(await subscribe(chooses, ['A'])).toMatchObject({ ok: true });
  const admin = redis.client(cleanup);
  // It takes the commands and answers too late.
  await admin.call('CLIENT', 'PAUSE', '4000', 'WRITE');
  const answers = await Promise.all(clients.map((client) => subscribe(client, ['B'])));
  expect(answers).toMatchObject([1, 2].map(() => ({ ok: false, error: { code: 'unavailable' } })));
  await until('the active topics to be kept', async () => (await keptTopics(admin)).includes('["A"]'));
  door.cut();
  await Promise.all(clients.map((client) => client.welcomed(2)));
  expect(clients.map(({ socket }) => socket.recovered)).toEqual([true, true]);
  await post(pod, 'B', 'A', 'X');
  await got(chooses, 'A');
  await got(never, 'X');
});

describe.each(['websocket', 'polling'])('long messages over %s', (transport) => {
  test('are answered busy without a look at them when a client sends too many, and short ones work all the while', async () => {
    const pod = await Pod.start(cleanup);
    const client = await FeedClient.connect(cleanup, pod.url, { transports: [transport] });
    const topics = Array.from({ length: 1000 }, (_, i) => `${'long'.repeat(3)}${i}`);
    expect(await subscribe(client, topics)).toMatchObject({ ok: true });
    // One more topic, and one less, as an honest client may do it now and then.
    expect(await subscribe(client, topics.slice(1))).toMatchObject({ ok: true });
    expect(await subscribe(client, topics)).toMatchObject({ ok: true });
    const broken = [...topics, 5];
    const codes: string[] = [];
    for (let i = 0; i < 20; i++) {
      const answer = await subscribe(client, broken);
      codes.push(answer.ok ? 'ok' : answer.error.code);
    }
    expect(codes.slice(0, 2)).toEqual(['invalid_topics', 'invalid_topics']);
    expect(codes.slice(2).filter((code) => code === 'busy').length).toBeGreaterThan(5);
    expect(await subscribe(client, ['A'])).toEqual({ ok: true, topics: ['A'] });
    expect(await pod.metric('gateway_subscribes_total', { result: 'busy' })).toBeGreaterThan(5);
    // Whatever name it has.
    client.socket.emit('other', topics);
    client.socket.emit('subscr\u0131be', topics);
    expect(await subscribe(client, ['B'])).toEqual({ ok: true, topics: ['B'] });
    expect(client.disconnects).toEqual([]);
  });
});
