import { afterEach, describe, expect, test } from 'vitest';
import { type HistorySource, historyRoute } from '../../src/admin/history.js';
import { formatOffset } from '../../src/contract/offset.js';
import { PROBLEMS, type ProblemCode } from '../../src/errors.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { messages } from '../journal/journal-suite.js';
import { httpRequest } from '../support/http.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { journalModes } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Page {
  readonly entries: readonly { readonly offset: string; readonly event: string; readonly data: { price: number } }[];
  readonly next: string;
}

function ask(pod: Pod, query = '', headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(`${pod.adminUrl}/v1/signals${query}`, { headers });
}

async function history(pod: Pod, query = ''): Promise<Page> {
  const answer = await ask(pod, query);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('application/json');
  return (await answer.json()) as Page;
}

function prices({ entries }: Page): number[] {
  return entries.map(({ data }) => data.price);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Publishes signals with the prices from one number to another. */
async function publish(pod: Pod, from: number, to: number): Promise<string[]> {
  const offsets: string[] = [];
  for (let start = from; start <= to; start += 500) {
    const batch = range(start, Math.min(to, start + 499)).map((price) => signal(price));
    const answer = await pod.post('/v1/signals', batch);
    expect(answer.status).toBe(202);
    offsets.push(...((await answer.json()) as { offsets: string[] }).offsets);
    const newest = Number(offsets.at(-1)?.split(':')[1]);
    await until('the pod to have read it', async () => (await pod.metric('gateway_journal_seq')) >= newest);
  }
  return offsets;
}

async function expectProblem(answer: Response, code: ProblemCode): Promise<Record<string, unknown>> {
  const body = (await answer.json()) as Record<string, unknown>;
  expect(body).toMatchObject({ code, ...PROBLEMS[code] });
  expect(answer.status).toBe(PROBLEMS[code].status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  return body;
}

describe.each(journalModes(cleanup))('the history, %s', (_, start, shared) => {
  test('returns what followed an offset, oldest first, page by page', async () => {
    const pod = await shared();
    const offsets = await publish(pod, 1, 250);
    const first = await history(pod, `?after=${offsets[9]}`);
    expect(prices(first)).toEqual(range(11, 110));
    expect(first.entries.map(({ offset }) => offset)).toEqual(offsets.slice(10, 110));
    expect(first.next).toBe(offsets[109]);
    const second = await history(pod, `?after=${first.next}&limit=1000`);
    expect(prices(second)).toEqual(range(111, 250));
    expect(second.next).toBe(offsets[249]);
    const third = await history(pod, `?after=${second.next}`);
    expect(third).toEqual({ entries: [], next: second.next });
  });

  test('returns the newest entries if no offset is given', async () => {
    const pod = await start();
    const empty = await history(pod);
    expect(empty.entries).toEqual([]);
    await publish(pod, 1, 250);
    expect(prices(await history(pod))).toEqual(range(151, 250));
    expect(prices(await history(pod, '?limit=3'))).toEqual([248, 249, 250]);
    expect(prices(await history(pod, '?limit=1000'))).toEqual(range(1, 250));
    expect(prices(await history(pod, `?after=${empty.next}&limit=2`))).toEqual([1, 2]);
  });

  test('returns every payload unchanged, with the name of its event', async () => {
    const pod = await start();
    const text =
      '{ "type":"A", "signal":"BUY","price":1.50,"symbol":"BTC/USDT","timeframe":"1m","timestamp":"2023-10-27T10:00:00Z","big":12345678901234567890,"text":"é€😀\\n" }';
    expect((await pod.post('/v1/signals', text)).status).toBe(202);
    expect((await pod.post('/v1/status', JSON.stringify(status()))).status).toBe(202);
    await until('both to be read', async () => (await history(pod)).entries.length === 2);
    const body = await (await ask(pod)).text();
    const [first, second] = (JSON.parse(body) as Page).entries;
    expect(body).toBe(
      `{"entries":[{"offset":"${first?.offset}","event":"new_signal","data":${text}},` +
        `{"offset":"${second?.offset}","event":"status_update","data":${JSON.stringify(status())}}],"next":"${second?.offset}"}`,
    );
  });

  test.each([
    ['?limit=0', 'invalid_limit'],
    ['?limit=1001', 'invalid_limit'],
    ['?limit=-1', 'invalid_limit'],
    ['?limit=1.5', 'invalid_limit'],
    ['?limit=ten', 'invalid_limit'],
    ['?limit=', 'invalid_limit'],
    ['?after=', 'invalid_offset'],
    ['?after=abc', 'invalid_offset'],
    ['?after=abc:-1', 'invalid_offset'],
    ['?after=abc:1&limit=0', 'invalid_limit'],
    ['?after=%00%ff', 'invalid_offset'],
    ['?after=another:1', 'offset_epoch'],
  ] as const)('refuses %s as %s', async (query, code) => {
    const pod = await shared();
    expect(await expectProblem(await ask(pod, query), code)).toHaveProperty('code', code);
  });

  test('answers an offset that is too old with the oldest one that is available', async () => {
    const pod = await start({ JOURNAL_MAXLEN: '200' });
    const offsets = await publish(pod, 1, 1);
    // More than a pod with Redis keeps in memory of its own.
    await publish(pod, 2, 17_500);
    const body = await expectProblem(await ask(pod, `?after=${offsets[0]}`), 'offset_expired');
    const oldest = await history(pod, `?after=${body['oldest'] as string}&limit=1000`);
    const last = prices(await history(pod, '?limit=1')).at(-1) ?? 0;
    expect(last).toBe(17_500);
    const first = prices(oldest)[0] ?? 0;
    expect(prices(oldest)).toEqual(range(first, Math.min(first + 999, last)));
    expect(last - first + 1).toBeGreaterThanOrEqual(200);
  });

  test('requires a key, as publishing does', async () => {
    const pod = await shared({ API_KEY: 'right-key-of-the-test' });
    const refused = await ask(pod);
    expect(refused.headers.get('www-authenticate')).toBe('Bearer');
    await expectProblem(refused, 'unauthorized');
    await expectProblem(await ask(pod, '', { authorization: 'Bearer wrong' }), 'unauthorized');
    expect((await ask(pod, '', { authorization: 'Bearer right-key-of-the-test' })).status).toBe(200);
  });

  test('refuses pages in a browser when there is no key', async () => {
    const pod = await shared();
    const refused = await ask(pod, '', { origin: 'http://localhost:8080' });
    expect(await expectProblem(refused, 'forbidden')).not.toHaveProperty('entries');
  });

  test('refuses pages that reach this machine by a host name of theirs, for which browsers send no origin', async () => {
    const pod = await shared();
    for (const path of ['/v1/signals', '/v1/info']) {
      for (const host of [
        'rebound.example',
        `rebound.example:${pod.adminPort}`,
        '127.0.0.1.example',
        'a.localhost.b',
      ]) {
        const refused = await httpRequest(pod.adminUrl + path, { headers: { host } });
        expect([path, host, refused.status]).toEqual([path, host, 403]);
        expect(JSON.parse(refused.body)).toMatchObject({ code: 'forbidden' });
      }
      for (const host of [
        'localhost',
        'LOCALHOST:3001',
        'gateway',
        'a.localhost:80',
        '127.0.0.1',
        '[::1]:3001',
        '10.0.0.7',
      ]) {
        expect([path, host, (await httpRequest(pod.adminUrl + path, { headers: { host } })).status]).toEqual([
          path,
          host,
          200,
        ]);
      }
    }
    const keyed = await Pod.start(cleanup, { API_KEY: 'a-key' });
    const headers = { host: 'gateway.example', authorization: 'Bearer a-key' };
    expect((await httpRequest(`${keyed.adminUrl}/v1/info`, { headers })).status).toBe(200);
  });
});

test('every pod returns the same history, including one that started later', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  await publish(pod, 1, 300);
  const later = await Pod.start(cleanup, { REDIS_URL: redis.url });
  expect(await history(later)).toEqual(await history(pod));
  expect(await history(later, '?limit=1000')).toEqual(await history(pod, '?limit=1000'));
});

test('with Redis away the history is refused at once, and is back with it', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const offsets = await publish(pod, 1, 10);
  await redis.kill();
  const refused = await until('the history to be refused', async () => {
    const answer = await ask(pod);
    return answer.status === 200 ? undefined : answer;
  });
  expect(refused.headers.get('retry-after')).toBe('1');
  await expectProblem(refused, 'journal_unavailable');
  await redis.restart();
  await pod.ready();
  expect(prices(await history(pod, `?after=${offsets[3]}`))).toEqual(range(5, 10));
});

test('an offset of a journal that Redis has lost is refused by a pod that has never seen it', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const offsets = await publish(pod, 1, 10);
  await redis.restart();
  // Commands have a connection of their own, which may be back later than the pod is ready.
  const [newest = ''] = await until('a signal to be taken again', () => publish(pod, 11, 11));
  const fresh = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const body = await expectProblem(await ask(fresh, `?after=${offsets[4]}`), 'offset_epoch');
  const page = await history(fresh, `?after=${body['oldest'] as string}`);
  expect(prices(page)).toEqual([11]);
  expect(page.next).toBe(newest);
  // A pod that has seen both goes from the one to the other.
  expect(prices(await history(pod, `?after=${offsets[4]}`))).toEqual(range(6, 11));
});

test('a small page over many deleted entries does not read them one by one from the journal', async () => {
  const journal = new MemoryJournal({
    maxEntries: 5000,
    maxBytes: Infinity,
    listener: { onEntry: () => {}, onGap: () => {} },
  });
  const start = journal.head();
  const places = await journal.append(messages(1300));
  for (const place of places.slice(0, 1200)) await journal.delete(place);
  let reads = 0;
  const source: HistorySource = {
    back: (count) => journal.back(count),
    resolve: (offset) => journal.resolve(offset),
    read: (after, limit) => {
      reads++;
      return journal.read(after, limit);
    },
  };
  const route = historyRoute(
    source,
    () => true,
    () => {},
  );
  const offsets = places.map(formatOffset);
  const pages: [number, string[], number, string][] = [];
  for (let after = formatOffset(start); pages.length < 3;) {
    const query = new URLSearchParams({ after, limit: '1' });
    const request = { method: 'GET', path: '/v1/signals', query, header: () => '', body: Buffer.alloc(0) };
    const answer = await route.handle({ ...request, remoteAddress: new Uint8Array(4) });
    const page = JSON.parse(String(answer.body)) as Page & { readonly deleted?: readonly string[] };
    pages.push([reads, page.entries.map(({ offset }) => offset), page.deleted?.length ?? 0, page.next]);
    after = page.next;
    reads = 0;
  }
  expect(pages).toEqual([
    [11, [], 1000, offsets[999]],
    [3, [offsets[1200]], 200, offsets[1200]],
    [1, [offsets[1201]], 0, offsets[1201]],
  ]);
});
