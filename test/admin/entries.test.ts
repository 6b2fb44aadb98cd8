import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { PROBLEMS, type ProblemCode } from '../../src/errors.js';
import { deleteEntry, deleted, historyOf } from '../support/deletion.js';
import { httpRequest } from '../support/http.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { journalModes } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function publish(pod: Pod, count = 1): Promise<string[]> {
  const body = Array.from({ length: count }, (_, i) => signal(i + 1));
  const { offsets } = (await (await pod.post('/v1/signals', body)).json()) as { offsets: string[] };
  const newest = Number(offsets.at(-1)?.split(':')[1]);
  await until('them to be read', async () => (await pod.metric('gateway_journal_seq')) >= newest);
  return offsets;
}

function remove(pod: Pod, path: string, options: RequestInit = {}): Promise<Response> {
  return fetch(`${pod.adminUrl}/v1/entries/${path}`, { method: 'DELETE', ...options });
}

function json(body: unknown): RequestInit {
  return {
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

async function expectProblem(answer: Response, code: ProblemCode): Promise<void> {
  expect(await answer.json()).toMatchObject({ code, ...PROBLEMS[code] });
  expect(answer.status).toBe(PROBLEMS[code].status);
}

type LogLine = Record<string, unknown>;

/** Waits for as many lines of a kind in the log. */
async function logged(pod: Pod, count: number, isWanted: (line: LogLine) => boolean): Promise<LogLine[]> {
  await until('the log', () => pod.logs().filter(isWanted).length >= count, { seen: () => pod.output() });
  return pod.logs().filter(isWanted);
}

describe.each(journalModes(cleanup))('deleting an entry, %s', (_, start, shared) => {
  test('takes it out of the history, names its place there, and can be repeated', async () => {
    const pod = await start();
    const offsets = await publish(pod, 5);
    await deleted(pod, offsets[2]);
    // At once: the pod that answers serves it no longer.
    const page = await historyOf(pod);
    expect(page.entries.map(({ offset }) => offset)).toEqual([0, 1, 3, 4].map((i) => offsets[i]));
    expect(page).toMatchObject({ deleted: [offsets[2]], next: offsets[4] });
    expect(await historyOf(pod, `?after=${offsets[2]}`)).not.toHaveProperty('deleted');
    for (let i = 0; i < 2; i++) {
      const answer = await deleteEntry(pod, offsets[2]);
      expect([answer.status, await answer.json()]).toEqual([200, { offset: offsets[2], deleted: true, already: true }]);
    }
    expect(await pod.metric('gateway_entries_deleted_total')).toBe(1);
  });

  test('never makes the history look as if it had ended: whoever reads to an empty answer gets all that is left', async () => {
    const pod = await start();
    const offsets = await publish(pod, 30);
    for (const offset of offsets.slice(3, 25)) await deleted(pod, offset);
    const seen: string[] = [];
    const gone: string[] = [];
    for (let after = offsets[0]; ;) {
      const page = await historyOf(pod, `?after=${after}&limit=2`);
      gone.push(...(page.deleted ?? []));
      if (page.entries.length === 0) break;
      seen.push(...page.entries.map(({ offset }) => offset));
      after = page.next;
    }
    expect(seen).toEqual([...offsets.slice(1, 3), ...offsets.slice(25)]);
    expect(gone).toEqual(offsets.slice(3, 25));
  });

  test('takes the reason from the query or the body, and the offset percent-encoded too', async () => {
    const pod = await shared();
    const offsets = await publish(pod, 6);
    const requests: [string, RequestInit?][] = [
      [`${offsets[0]}?reason=x`],
      [`${offsets[1]?.replace(':', '%3A')}?reason=${encodeURIComponent('€ "quoted" \\ 😀')}`],
      [`${offsets[2]}`, json({ reason: 'in the body' })],
      [`${offsets[3]}?reason=twice`, json({ reason: 'twice' })],
      [`${offsets[4]}?reason=${'r'.repeat(256)}`],
      [`${offsets[5]?.replace(':', '%3a')}?reason=a+b&more=1`],
    ];
    for (const [path, options] of requests) {
      const answer = await remove(pod, path, options);
      expect([path, answer.status]).toEqual([path, 200]);
    }
    const reasons = await logged(pod, 6, ({ msg }) => msg === 'an entry of the journal was deleted');
    expect(reasons.map(({ reason }) => reason)).toEqual([
      'x',
      '€ "quoted" \\ 😀',
      'in the body',
      'twice',
      'r'.repeat(256),
      'a b',
    ]);
  });

  test('without exactly one readable reason is refused and changes nothing', async () => {
    const pod = await start();
    const [offset = ''] = await publish(pod);
    const requests: [string, RequestInit, ProblemCode][] = [
      ['', {}, 'invalid_reason'],
      ['?reason=', {}, 'invalid_reason'],
      ['?reason=%20%20', {}, 'invalid_reason'],
      ['?Reason=x', {}, 'invalid_reason'],
      [`?reason=${'r'.repeat(257)}`, {}, 'invalid_reason'],
      ['?reason=a%0Ab', {}, 'invalid_reason'],
      ['?reason=a%00b', {}, 'invalid_reason'],
      ['?reason=a%1b%5B31m', {}, 'invalid_reason'],
      ['?reason=a&reason=b', {}, 'invalid_reason'],
      ['?reason=a', json({ reason: 'b' }), 'invalid_reason'],
      ['', json({}), 'invalid_reason'],
      ['', json({ reason: '' }), 'invalid_reason'],
      ['', json({ reason: 5 }), 'invalid_reason'],
      ['', json({ reason: null }), 'invalid_reason'],
      ['', json({ reason: ['a'] }), 'invalid_reason'],
      ['', json({ reason: 'a', force: true }), 'invalid_reason'],
      ['', json('{"reason":"a\\ud800"}'), 'invalid_reason'],
      ['', json([{ reason: 'a' }]), 'invalid_reason'],
      ['', json('null'), 'invalid_reason'],
      ['', json('{"reason":'), 'invalid_json'],
      ['?reason=a', { body: 'reason=b' }, 'unsupported_media_type'],
      ['', json({ reason: 'x'.repeat(5000) }), 'body_too_large'],
    ];
    for (const [query, options, code] of requests)
      await expectProblem(await remove(pod, offset + query, options), code);
    expect((await historyOf(pod)).entries).toHaveLength(1);
  });

  test('at an invalid offset is refused', async () => {
    const pod = await shared();
    const texts = [
      'abc',
      'a:-1',
      'a:01',
      'a:1e3',
      ':1',
      'a:',
      '%',
      '%zz:1',
      '%c3%28:1',
      'a%20b:1',
      'a%3a%31%00',
      '*',
      '',
    ];
    for (const text of [...texts, 'x'.repeat(300), 'a:99999999999999999999']) {
      await expectProblem(await remove(pod, `${text}?reason=x`), 'invalid_offset');
    }
    expect(await pod.metric('gateway_entries_deleted_total')).toBe(0);
  });

  test('that never existed is distinguished from one that is no longer kept', async () => {
    const pod = await start({ JOURNAL_MAXLEN: '50' });
    const [first = ''] = await publish(pod);
    const epoch = first.split(':')[0] ?? '';
    for (const offset of [`${epoch}:0`, `${epoch}:2`, `${epoch}:9007199254740991`, 'another:1', 'another:0']) {
      await expectProblem(await deleteEntry(pod, offset), 'entry_not_found');
    }
    for (let i = 0; i < 20; i++) await publish(pod, 50);
    const answer = await deleteEntry(pod, first);
    const { oldest } = (await answer.clone().json()) as { oldest: string };
    await expectProblem(answer, 'offset_expired');
    expect((await historyOf(pod, `?after=${oldest}&limit=1`)).entries).toHaveLength(1);
    const [last] = (await historyOf(pod, '?limit=1')).entries;
    await deleted(pod, last?.offset);
  });

  test('is answered on no other path, and with no other method', async () => {
    const pod = await start();
    const [offset] = await publish(pod);
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'OPTIONS']) {
      const answer = await fetch(`${pod.adminUrl}/v1/entries/${offset}?reason=x`, { method });
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, 'DELETE']);
    }
    for (const path of ['/v1/entries', `/v1/entries/${offset}/`, `/v1/entries/${offset}/more`, `/v1/entry/${offset}`]) {
      const answer = await fetch(`${pod.adminUrl}${path}?reason=x`, { method: 'DELETE' });
      await expectProblem(answer, 'not_found');
    }
    expect((await fetch(`${pod.url}/v1/entries/${offset}?reason=x`, { method: 'DELETE' })).status).toBe(404);
    expect((await historyOf(pod)).entries).toHaveLength(1);
  });

  test('is written into the log: what, why, by whom, and never the key', async () => {
    const pod = await shared({ API_KEY: 'first-key,the-second-key' });
    const headers = { authorization: 'Bearer the-second-key' };
    const answer = await pod.post('/v1/signals', signal(1, { secret: 'payload' }), headers);
    const { offsets } = (await answer.json()) as { offsets: string[] };
    const other = await pod.post('/v1/status', status(), headers);
    offsets.push(...((await other.json()) as { offsets: string[] }).offsets);
    for (const offset of offsets) expect((await deleteEntry(pod, offset, 'ticket 4711', headers)).status).toBe(200);
    expect((await deleteEntry(pod, offsets[0], 'ticket 4712', headers)).status).toBe(200);
    const lines = await logged(pod, 3, ({ reason }) => String(reason).startsWith('ticket'));
    const caller = {
      address: '127.0.0.1',
      key: createHash('sha256').update('the-second-key').digest('hex').slice(0, 8),
    };
    expect(lines).toMatchObject([
      { level: 40, offset: offsets[0], reason: 'ticket 4711', event: 'new_signal', symbol: 'BTC/USDT', caller },
      {
        level: 40,
        offset: offsets[1],
        reason: 'ticket 4711',
        event: 'status_update',
        service: 'SignalMonitorWorker',
        caller,
      },
      { level: 30, offset: offsets[0], reason: 'ticket 4712', event: 'new_signal', caller },
    ]);
    expect(pod.output()).not.toContain('the-second-key');
    expect(pod.output()).not.toContain('payload');
  });

  test('needs a key where one is set, and the same machine and no browser where none is', async () => {
    const locked = await start({ API_KEY: 'the-key' });
    const open = await start();
    const [offset] = await publish(open);
    await expectProblem(await deleteEntry(locked, 'a:1'), 'unauthorized');
    await expectProblem(await deleteEntry(locked, 'a:1', 'x', { authorization: 'Bearer other' }), 'unauthorized');
    const page = await httpRequest(`${open.adminUrl}/v1/entries/${offset}?reason=x`, {
      method: 'DELETE',
      headers: { origin: 'http://localhost:3000' },
    });
    expect([page.status, (JSON.parse(page.body) as { code: string }).code]).toEqual([403, 'forbidden']);
    expect((await historyOf(open)).entries).toHaveLength(1);
  });
});

test('while Redis is away or hangs, nobody is told that an entry is deleted; then it can be', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const [offset] = await publish(pod);
  await redis.kill('SIGSTOP');
  const hanging = await deleteEntry(pod, offset);
  expect(hanging.headers.get('retry-after')).toBe('1');
  await expectProblem(hanging, 'journal_unavailable');
  await redis.kill('SIGCONT');
  await redis.kill();
  await pod.notReady('redis');
  await expectProblem(await deleteEntry(pod, offset), 'journal_unavailable');
  await redis.restart();
  await pod.ready();
  const answer = await deleteEntry(pod, offset);
  // It may have been carried out when Redis went on: nobody could know.
  expect([answer.status, await answer.json()]).toMatchObject([200, { offset, deleted: true }]);
  expect((await historyOf(pod)).entries).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('the reason for a deletion can be read in Redis, but the deleted text cannot', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const [offset = ''] = await publish(pod);
  await deleteEntry(pod, offset, 'ticket 4711');
  const client = redis.client(cleanup);
  const [[, fields] = ['', []]] = await client.xrange('{gateway}:deletions', '-', '+');
  const record = Object.fromEntries(
    Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i], fields[2 * i + 1]]),
  );
  expect(`${record['epoch']}:${record['seq']}`).toBe(offset);
  expect(record).toMatchObject({ reason: 'ticket 4711', event: 'new_signal', symbol: 'BTC/USDT', timeframe: '1m' });
  expect(JSON.stringify(fields)).not.toContain('QUANTUM_CIPHER');
});
