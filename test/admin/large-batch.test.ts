import { expect } from 'vitest';
import { readJournal } from '../support/journal-reader.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod } from '../support/pod.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

/** White space that makes a body one that is worked on in steps. */
const SPACES = ' '.repeat(64 * 1024);

const good = (price: number): string => JSON.stringify(signal(price));
const tooLarge = (rest: string): string => `{"note":"${'x'.repeat(20_000)}"${rest}`;

/** Bodies of every kind. */
const BODIES: readonly (readonly [string, string])[] = [
  ['one signal', good(1)],
  ['a batch', `[${good(1)},${good(2)} , ${good(3)}]`],
  ['a batch of one', `[${good(1)}]`],
  ['an empty batch', '[]'],
  ['a batch that is too long', `[${Array.from({ length: 1001 }, () => '1').join(',')}]`],
  ['a batch with a wrong item', `[${good(1)},{"signal":1},${good(3)}]`],
  ['a batch with two wrong items', `[${good(1)},{"type":"T","type":"T"},[]]`],
  ['a batch with an item that is too large', `[${good(1)},${tooLarge('}')},1]`],
  ['a batch with a number that is not finite', `[${good(1).replace(':1,', ':1e999,')}]`],
  ['a batch of batches', `[[${good(1)}]]`],
  ['a text', '"text"'],
  ['nothing', ''],
];

/** Bodies that are not JSON: the words of the parser differ with what follows. */
const BROKEN: readonly (readonly [string, string])[] = [
  ['a broken item behind a wrong one', `[{"signal":1},{]`],
  ['a broken item that is too large, behind a wrong one', `[{"signal":1},${tooLarge(',')}]`],
  ['a comma too many', `[${good(1)},]`],
  ['a comma too few', `[${good(1)} ${good(2)}]`],
  ['only the beginning', `[${good(1)},`],
  ['two arrays', `[${good(1)}][${good(2)}]`],
  ['a byte order mark', `\ufeff[${good(1)}]`],
  ['white space that JSON does not have', `[${good(1)},\u00a0${good(2)}]`],
];

/** What an answer says, without the numbers that no two requests share. */
async function answerOf(pod: Pod, body: string): Promise<unknown> {
  const answer = await pod.post('/v1/signals', body);
  const { offsets, ...rest } = (await answer.json()) as { offsets?: string[]; detail?: string };
  return { status: answer.status, count: offsets?.length, ...rest };
}

test('a large body gets the answer that a small one with the same content gets', async ({ cleanup }) => {
  const pod = await Pod.start(cleanup, { MAX_SIGNAL_BYTES: '16384' });
  for (const [name, body] of BODIES) {
    const small = await answerOf(pod, body);
    expect([name, await answerOf(pod, body + SPACES)]).toEqual([name, small]);
    expect([name, await answerOf(pod, SPACES + body)]).toEqual([name, small]);
  }
  for (const [name, body] of BROKEN) {
    for (const text of [body, body + SPACES]) {
      expect([name, await answerOf(pod, text)]).toMatchObject([name, { status: 400, code: 'invalid_json' }]);
    }
  }
  const invalid = Buffer.concat([Buffer.from(`[${good(1)},"`), Buffer.from([0xff]), Buffer.from(`"]${SPACES}`)]);
  expect((await pod.post('/v1/signals', invalid)).status).toBe(400);
  // Each refused item is counted once.
  expect(await pod.metric('gateway_messages_rejected_total', { reason: 'too_large' })).toBe(3);
});

test('a batch at its largest arrives whole and as it was sent, and a repetition of it publishes nothing', async ({
  cleanup,
}) => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, MAX_BACKPRESSURE: '67108864', MAX_MEMORY_PERCENT: '0' });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const items = Array.from({ length: 1000 }, (_, i) => good(i).replace('}', `,"note":"${'é'.repeat(7500)}\\u00e9"}`));
  const body = `[${items.join(' ,\n')}]`;
  const headers = { 'idempotency-key': 'largest' };
  const first = await pod.post('/v1/signals', body, headers);
  expect(first.status).toBe(202);
  const again = await pod.post('/v1/signals', body, headers);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(await again.json()).toEqual(await first.json());
  expect((await pod.post('/v1/signals', body.replace(':999,', ':998,'), headers)).status).toBe(422);
  expect((await readJournal(redis.client(cleanup))).map(({ json }) => json)).toEqual(items);
  await until('all at the client', () => client.signals.length === 1000, { seen: () => client.signals.length });
});

test('of many large batches at once some are taken whole and the others refused with a code, and later taken', async ({
  cleanup,
}) => {
  const pod = await Pod.start(cleanup, { MAX_MEMORY_PERCENT: '0' });
  const body = JSON.stringify(Array.from({ length: 1000 }, (_, i) => signal(i, { note: 'x'.repeat(15_000) })));
  const answers = await Promise.all(Array.from({ length: 8 }, () => pod.post('/v1/signals', body)));
  const refused = answers.filter(({ status }) => status !== 202);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(8);
  for (const answer of refused) {
    expect(await answer.json()).toMatchObject({ status: 503, code: 'publish_unavailable' });
    expect(answer.headers.get('retry-after')).toBe('1');
  }
  expect(await pod.metric('gateway_messages_accepted_total')).toBe((8 - refused.length) * 1000);
  // Small ones always find room.
  expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
  expect((await pod.post('/v1/signals', body)).status).toBe(202);
});
