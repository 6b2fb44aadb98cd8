import { afterEach, expect, test } from 'vitest';
import { asyncapiDocument } from '../../src/contract/asyncapi.js';
import { type ConnectError, connectErrorSchema } from '../../src/contract/connect.js';
import { SUBSCRIBE_ERRORS } from '../../src/contract/events.js';
import { documentText } from '../../src/contract/json-schema.js';
import { MAX_TOPICS } from '../../src/contract/topics.js';
import { version } from '../../src/version.js';
import { httpRequest } from '../support/http.js';
import { Issuer, SECRET, claims, seconds, secretToken } from '../support/issuer.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';
import { Conversation } from './conversation.js';
import { type Tree, at, tree } from './document-schemas.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const DOCUMENT = JSON.parse(documentText(asyncapiDocument(version()))) as Tree;
const MESSAGES = Object.keys(tree(at(DOCUMENT, '#/components/messages')));

/** Asks for two sockets on one connection, which the stock client does not do. */
async function connectTwice(conversation: Conversation, pod: Pod): Promise<void> {
  const url = `${pod.url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(url)).text()).slice(1)) as { sid: string };
  const session = `${url}&sid=${sid}`;
  await (await fetch(session, { method: 'POST', body: '40\u001e40' })).text();
  let packets = '';
  const refusal = await until(
    'the refusal of the second',
    async () => {
      packets += `${await (await fetch(session)).text()}\u001e`;
      return packets.split('\u001e').find((packet) => packet.startsWith('44'));
    },
    { seen: () => packets },
  );
  const error = JSON.parse(refusal.slice(2)) as ConnectError;
  conversation.note('connect_error', error);
  conversation.codes.add(error.data.code);
}

/** What is said with no Redis and no tokens. */
async function talk(conversation: Conversation): Promise<void> {
  const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '20', CORS_ORIGIN: 'https://page.example' });
  await pod.post('/v1/status', status('degraded', { since: 5 }));

  const client = conversation.client(cleanup, pod.url);
  await client.welcomed();
  await pod.post('/v1/signals', [signal(1), signal(2, { more: { fields: [1, null] }, gap: 'x' })]);
  await pod.post('/v1/status', status('active'));
  await until('two signals and two statuses', () => client.signals.length === 2 && client.statuses.length === 2, {
    seen: () => client,
  });
  // A new one was told of before, so it has no place; the news has one.
  expect(client.statuses.map((args) => args.length)).toEqual([1, 2]);

  const polling = conversation.client(cleanup, pod.url, {
    transports: ['polling'],
    auth: { topics: ['BTC/USDT', 'ETH/USDT@1m'] },
  });
  await polling.welcomed();
  for (const topics of [
    ['ETH/USDT'],
    [],
    ['*'],
    ['A', 'A@1m'],
    Array.from({ length: MAX_TOPICS }, (_, i) => `S${i}`),
  ]) {
    expect(await conversation.subscribe(polling, topics)).toMatchObject({ ok: true });
  }
  expect(polling.other.map(([event]) => event)).toContain('checkpoint');
  for (const topics of [undefined, 'BTC/USDT', [5], ['@1m'], [''], ['*@1m'], {}]) {
    expect(await conversation.subscribe(polling, topics)).toMatchObject({ error: { code: 'invalid_topics' } });
  }
  const many = Array.from({ length: MAX_TOPICS + 1 }, (_, i) => `S${i}`);
  expect(await conversation.subscribe(polling, many)).toMatchObject({ error: { code: 'too_many_topics' } });
  const long = ['x'.repeat(1024 * 1024)];
  expect(await conversation.subscribe(polling, long)).toMatchObject({ error: { code: 'payload_too_large' } });
  expect(await conversation.refused(cleanup, pod.url, { topics: long })).toBe('payload_too_large');
  expect(await conversation.refused(cleanup, pod.url, { topics: ['a@b@c'] })).toBe('invalid_topics');
  expect(await conversation.refused(cleanup, pod.url, { topics: many })).toBe('too_many_topics');

  // Recovered: what was missed comes after a welcome.
  client.socket.io.engine.close();
  await pod.post('/v1/signals', signal(3));
  await until('the missed signal', () => client.signals.length === 3, { seen: () => client });
  expect(client.socket.recovered).toBe(true);

  // Gaps: too old, of another journal, and what is no offset at all.
  const oldest = String(client.welcomes[0]?.[1]);
  await pod.post(
    '/v1/signals',
    Array.from({ length: 30 }, (_, i) => signal(i)),
  );
  for (const offset of [oldest, 'another:17', 'x'.repeat(300)]) {
    const late = conversation.client(cleanup, pod.url, { auth: { pid: 'made-up', offset } });
    await until('a gap', () => late.other.some(([event]) => event === 'gap'), { seen: () => late });
  }

  const url = `${pod.url}/socket.io/?EIO=4&transport=polling`;
  const refusal = await httpRequest(url, { headers: { origin: 'https://other.example' } });
  expect(refusal.status).toBe(403);
  conversation.note('refusal', JSON.parse(refusal.body));
  await connectTwice(conversation, pod);
}

/** What is said with Redis and tokens only. */
async function talkWithRedis(conversation: Conversation): Promise<void> {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, {
    REDIS_URL: redis.url,
    AUTH: 'jwt',
    JWT_SECRET: SECRET,
    JWT_ISSUER: String(claims().iss),
    JWT_AUDIENCE: String(claims().aud),
  });
  const allowed = ['BTC/USDT', 'ETH/USDT'];
  const token = await secretToken(claims({ topics: allowed }));
  const client = conversation.client(cleanup, pod.url, { auth: { token } });
  await client.welcomed();

  const producer = redis.client(cleanup);
  for (const [channel, name, payload] of [
    ['new_signal', 'published_signal', signal(1, { note: 'through Redis' })],
    ['status_update', 'published_status', status('offline')],
  ] as const) {
    conversation.note(name, payload);
    await producer.publish(channel, JSON.stringify(payload));
  }
  await until('both from Redis', () => client.signals.length === 1 && client.statuses.length === 1, {
    seen: () => client,
  });

  expect(await conversation.subscribe(client, ['SOL/USDT'])).toMatchObject({ error: { code: 'topics_not_allowed' } });
  const answers = await Promise.all(Array.from({ length: 60 }, () => conversation.subscribe(client, ['BTC/USDT'])));
  expect(answers.some((answer) => !answer.ok && answer.error.code === 'busy')).toBe(true);

  const bad: readonly (readonly [string, string | undefined])[] = [
    ['token_missing', undefined],
    ['token_malformed', 'x'],
    ['token_too_large', 'x'.repeat(9000)],
    ['token_expired', await secretToken(claims({ exp: seconds() - 600 }))],
    ['token_not_yet_valid', await secretToken(claims({ nbf: seconds() + 600 }))],
    ['token_wrong_audience', await secretToken(claims({ aud: 'others' }))],
    ['token_wrong_issuer', await secretToken(claims({ iss: 'others' }))],
    ['token_wrong_algorithm', await secretToken(claims(), SECRET.repeat(2), 'HS512')],
    ['token_bad_signature', await secretToken(claims(), 'another secret that is long enough for it')],
    ['token_bad_claims', await secretToken(claims({ topics: 'BTC/USDT' }))],
  ];
  for (const [code, bearer] of bad) {
    expect(await conversation.refused(cleanup, pod.url, bearer === undefined ? {} : { token: bearer })).toBe(code);
  }
  expect(await conversation.refused(cleanup, pod.url, { token, topics: ['SOL/USDT'] })).toBe('topics_not_allowed');

  await redis.kill();
  await until('the gateway to say so', () => client.gatewayStates.includes('degraded'), { seen: () => client });
  expect(await conversation.subscribe(client, ['BTC/USDT'])).toMatchObject({ error: { code: 'unavailable' } });
}

/** What is said with the public keys of an issuer only. */
async function talkWithKeys(conversation: Conversation): Promise<void> {
  const [issuer, other] = await Promise.all([Issuer.open(cleanup), Issuer.open(cleanup)]);
  await issuer.addKey('published');
  await other.addKey('another');
  const pod = await Pod.start(cleanup, {
    AUTH: 'jwt',
    JWKS_URL: issuer.url,
    JWT_AUDIENCE: String(claims().aud),
  });
  const token = await other.token('another');
  expect(await conversation.refused(cleanup, pod.url, { token })).toBe('token_unknown_key');
}

test('a live gateway says what the AsyncAPI document says, all of it and nothing else', async () => {
  const conversation = new Conversation(DOCUMENT);
  await talk(conversation);
  await cleanup.run();
  await talkWithRedis(conversation);
  await cleanup.run();
  await talkWithKeys(conversation);

  expect(conversation.faults).toEqual([]);
  expect([...conversation.seen].toSorted()).toEqual(MESSAGES.toSorted());
  const codes = [...Object.keys(SUBSCRIBE_ERRORS), ...connectErrorSchema.shape.data.shape.code.options];
  expect(codes.filter((code) => !conversation.codes.has(code))).toEqual([]);
});

test('what the document does not say is found', () => {
  const conversation = new Conversation(DOCUMENT);
  conversation.note('new_signal', [signal(1), 'a:1']);
  expect(conversation.faults).toEqual([]);
  conversation.note('new_signal', [signal(1)]);
  conversation.note('new_signal', [signal(1), 'no offset']);
  conversation.note('new_signal', [signal(1), 'a:1', 'more']);
  conversation.note('new_signal', [{ ...signal(1), timestamp: '2023-10-27T10:00:00+02:00' }, 'a:1']);
  conversation.note('welcome', [{ message: 'hello', more: 1 }, 'a:1']);
  conversation.note('goodbye', []);
  expect(conversation.faults).toHaveLength(6);
});
