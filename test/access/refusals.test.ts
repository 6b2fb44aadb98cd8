import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { REFUSALS, type RefusalCode } from '../../src/errors.js';
import { HttpExchange } from '../support/http-exchange.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import {
  FOREIGN,
  LIMITED,
  LISTED,
  REFUSAL_CASES,
  type RefusalCase,
  engine,
  sessionFor,
} from '../support/refusal-cases.js';
import { type StrictAnswer, headerOf } from '../support/strict-http.js';
import { type StrictRequest, WEBSOCKET, onlyHeader, strictRequest } from '../support/strict-request.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const LIST = `${LISTED},http://localhost:5173`;
const ORIGINS = [undefined, LISTED, FOREIGN];
const POLLING = engine('EIO=4&transport=polling');
const SOCKET = engine('EIO=4&transport=websocket');

function withOrigin(request: StrictRequest, origin: string | undefined): StrictRequest {
  return origin === undefined ? request : { ...request, headers: { ...request.headers, Origin: origin } };
}

/** Whether a page of the origin may read the answer, as the Fetch standard says it; each header comes once. */
function expectCors(answer: StrictAnswer, origin: string | undefined, list: string): void {
  const mayRead = list === '*' ? '*' : origin === LISTED ? LISTED : undefined;
  expect(onlyHeader(answer, 'access-control-allow-origin')).toBe(mayRead);
  expect(onlyHeader(answer, 'access-control-allow-credentials')).toBe(mayRead === LISTED ? 'true' : undefined);
  const vary = headerOf(answer, 'vary').join();
  expect([vary, list === '*' || /\borigin\b/i.test(vary)]).toEqual([vary, true]);
}

function bodyOf(answer: StrictAnswer): { code: unknown; text: unknown } {
  expect(onlyHeader(answer, 'content-type')).toMatch(/^application\/(problem\+)?json$/);
  const { code, message, detail } = JSON.parse(answer.body.toString()) as Record<string, unknown>;
  return { code, text: message ?? detail };
}

function refusalsOf(pod: Pod, reason: string): Promise<number> {
  return pod.metric('gateway_refusals_total', { reason });
}

/** Waits until the log of a pod says why, at a level at which it is read. */
async function expectLogged(pod: Pod, reason: string): Promise<void> {
  const isSaid = (): boolean =>
    pod.logs().some((line) => line['reason'] === reason && [30, 40].includes(Number(line['level'])));
  await until(`a line about "${reason}"`, isSaid, { limit: 5000 });
}

function hold(exchange: HttpExchange): void {
  cleanup.add(exchange, (self) => self.end('RST'));
}

/** Sends the request of a row and looks at all that there is of its refusal. */
async function expectRefused(pod: Pod, list: string, row: RefusalCase, origin: string | undefined): Promise<void> {
  const sid = await sessionFor(pod, row.session ?? 'none', hold);
  const before = { origin: await refusalsOf(pod, 'origin'), own: await refusalsOf(pod, row.reason) };
  const answer = await strictRequest(pod.port, withOrigin(row.request(sid), origin));
  const { code, text } = bodyOf(answer);
  expect(text).toEqual(expect.any(String));
  expectCors(answer, origin, list);
  const isForeign = list !== '*' && origin === FOREIGN && row.way !== 'a plain request';
  // To a foreign page it may be said first what is wrong with the message, never what is wrong with the session.
  const isOrigin = isForeign && (answer.status === 403 || ![405, 431].includes(row.status));
  const expected = isOrigin ? { status: 403, code: 'origin' } : row;
  expect([answer.status, code]).toEqual([expected.status, expected.code]);
  expect(text).toMatch((isOrigin ? undefined : row.says) ?? /./);
  for (const method of isOrigin ? [] : (row.allow ?? [])) expect(onlyHeader(answer, 'allow')).toContain(method);
  const reason = isOrigin ? 'origin' : row.reason;
  expect(await refusalsOf(pod, reason)).toBe((isOrigin ? before.origin : before.own) + 1);
  await expectLogged(pod, reason);
}

const ASKED = ['content-type', 'traceparent, baggage, sentry-trace', 'Authorization,X-Anything', 'x-a,x-b , x_c!'];

function preflight(pod: Pod, target: string, asked: string, origin: string): Promise<StrictAnswer> {
  const headers = {
    Origin: origin,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': asked,
  };
  return strictRequest(pod.port, { method: 'OPTIONS', target, headers });
}

async function expectAllowed(pod: Pod, target: string, asked: string, list: string, origin = LISTED): Promise<void> {
  const answer = await preflight(pod, target, asked, origin);
  expect(answer.status).toBe(204);
  const names = (onlyHeader(answer, 'access-control-allow-headers') ?? '').toLowerCase().split(/\s*,\s*/);
  // A * does not stand for it.
  expect(names).toContain('authorization');
  for (const name of asked.toLowerCase().split(/\s*,\s*/)) expect(names).toContain(name);
  expect(onlyHeader(answer, 'access-control-allow-methods')).toMatch(/\bGET\b.*\bPOST\b/);
  expect(Number(onlyHeader(answer, 'access-control-max-age'))).toBeGreaterThan(0);
  expectCors(answer, origin, list);
}

async function expectForbidden(pod: Pod, target: string, asked: string): Promise<void> {
  const answer = await preflight(pod, target, asked, FOREIGN);
  for (const name of ['headers', 'methods', 'origin', 'credentials']) {
    expect(onlyHeader(answer, `access-control-allow-${name}`)).toBeUndefined();
  }
}

const TITLED = REFUSAL_CASES.map((row) => [`${row.way} with ${row.what}`, row.status, row] as const);

describe.each([
  ['with a list of origins', LIST],
  ['with every origin allowed', '*'],
])('%s, a page that may can read why it was refused:', (_name, list) => {
  const started = new Cleanup();
  let pod: Pod;
  beforeAll(async () => {
    pod = await Pod.start(started, { CORS_ORIGIN: list, ...LIMITED });
  });
  afterAll(() => started.run());

  test.each(TITLED)('%s is answered with %i', async (_title, _status, row) => {
    for (const origin of ORIGINS) await expectRefused(pod, list, row, origin);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('what is not refused can be read, too', async () => {
    for (const origin of ORIGINS.filter((one) => list === '*' || one !== FOREIGN)) {
      const opened = await strictRequest(pod.port, withOrigin({ target: POLLING }, origin));
      expect(opened.status).toBe(200);
      const { sid } = JSON.parse(opened.body.toString().slice(1)) as { sid: string };
      const target = `${POLLING}&sid=${sid}`;
      const posted = await strictRequest(pod.port, withOrigin({ method: 'POST', target, body: '40' }, origin));
      const polled = await strictRequest(pod.port, withOrigin({ target }, origin));
      expect([posted.status, posted.body.toString(), polled.status]).toEqual([200, 'ok', 200]);
      for (const answer of [opened, posted, polled]) expectCors(answer, origin, list);
    }
  });

  test('a body in chunks is taken from a client on long-polling', async () => {
    const sid = await sessionFor(pod, 'polling', () => {});
    const target = `${POLLING}&sid=${sid}`;
    const headers = { 'Transfer-Encoding': 'chunked' };
    const posted = await strictRequest(pod.port, {
      method: 'POST',
      target,
      headers,
      body: '1\r\n4\r\n1\r\n0\r\n0\r\n\r\n',
    });
    expect([posted.status, posted.body.toString()]).toEqual([200, 'ok']);
    expect((await strictRequest(pod.port, { target })).body.toString()).toContain('"sid"');
  });

  test.each(['/', '/nothing', '/asyncapi.json', '/dashboard/info', '/socket.io/', '/socket.io', `${POLLING}&sid=none`])(
    'HEAD of %s has no body and no other length than GET',
    async (target) => {
      const exchange = cleanup.add(await HttpExchange.open(pod.port), (self) => self.end('FIN'));
      const ask = async (method: string): Promise<StrictAnswer> => {
        await exchange.send(Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: gateway\r\nOrigin: ${LISTED}\r\n\r\n`));
        const answer = await exchange.answer(method, 5000);
        if (typeof answer === 'string') throw new Error(`${method}: ${answer}`);
        return answer;
      };
      const head = await ask('HEAD');
      // A body that came after all would stand where this answer begins.
      const get = await ask('GET');
      expect(head.body.length).toBe(0);
      const told = onlyHeader(head, 'content-length');
      const isSame = head.status === get.status && told !== undefined;
      expect(isSame ? Number(told) : get.body.length).toBe(get.body.length);
    },
  );

  test.each(['/socket.io/', '/socket.io', `${POLLING}&sid=none`, '/asyncapi.json'])(
    'a preflight of %s allows what it asks for, to those who may come',
    async (target) => {
      for (const asked of ASKED) {
        await expectAllowed(pod, target, asked, list);
        await (list === '*' ? expectAllowed(pod, target, asked, list, FOREIGN) : expectForbidden(pod, target, asked));
      }
      expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
    },
  );

  test('a preflight that asks for an invalid list of header names still gets a valid answer', async () => {
    for (const asked of ['', ',', 'a b', 'x-a,,x-b', '(', 'x\u00ff', ', '.repeat(1000), 'a'.repeat(3000)]) {
      const answer = await preflight(pod, POLLING, asked, LISTED);
      expect(answer.status).toBe(204);
      expect(onlyHeader(answer, 'access-control-allow-headers') ?? '').toMatch(
        /^[\w!#$%&'*+.^`|~-]*(, ?[\w!#$%&'*+.^`|~-]+)*$/,
      );
      expectCors(answer, LISTED, list);
    }
  });
});

/** What brings a pod to refuse new clients: for how long depends on nobody but it. */
const ADMISSION: Readonly<
  Record<
    Exclude<RefusalCode, 'origin' | 'headers_too_large' | 'recovery_unavailable'>,
    Readonly<Record<string, string>>
  >
> = {
  stopping: { DRAIN_SECONDS: '60' },
  memory: { MEMORY_LIMIT: '33554432', MAX_MEMORY_PERCENT: '50' },
  max_connections: { MAX_CONNECTIONS: '1' },
  max_connections_per_ip: { MAX_CONNECTIONS_PER_IP: '1' },
  connect_rate: { MAX_CONNECTS_PER_SECOND: '1' },
  connect_rate_per_ip: { MAX_CONNECTS_PER_SECOND_PER_IP: '1' },
};

/** Starts a pod and brings it to refuse. */
async function refusing(code: keyof typeof ADMISSION, list: string): Promise<Pod> {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: list, ...ADMISSION[code] }, { ready: code !== 'memory' });
  // A rate is reached by what asks.
  const clients = { stopping: 3, max_connections: 1, max_connections_per_ip: 1 }[code as string] ?? 0;
  const options = { transports: ['polling'], reconnection: false };
  for (let i = 0; i < clients; i++) await FeedClient.connect(cleanup, pod.url, options);
  if (code === 'stopping') pod.child.process.kill('SIGTERM');
  return pod;
}

describe.each(Object.keys(ADMISSION) as (keyof typeof ADMISSION)[])('a pod that refuses with %s', (code) => {
  test.each([LIST, '*'])('tells every page that may come, with CORS_ORIGIN=%s', async (list) => {
    const pod = await refusing(code, list);
    const { status, retryAfter }: { status: number; retryAfter?: number } = REFUSALS[code];
    for (const request of [{ target: POLLING }, { target: SOCKET, headers: WEBSOCKET }]) {
      for (const origin of ORIGINS.filter((one) => list === '*' || one !== FOREIGN)) {
        const before = await refusalsOf(pod, code);
        // A rate lets somebody in now and then.
        const answer = await until('to be refused', async () => {
          const all = Array.from({ length: 5 }, () => strictRequest(pod.port, withOrigin(request, origin)));
          return (await Promise.all(all)).find((one) => one.status >= 400);
        });
        expect([answer.status, bodyOf(answer).code]).toEqual([status, code]);
        expect(onlyHeader(answer, 'retry-after')).toBe(retryAfter === undefined ? undefined : String(retryAfter));
        expectCors(answer, origin, list);
        expect(await refusalsOf(pod, code)).toBeGreaterThan(before);
      }
    }
    await expectLogged(pod, code);
  });
});
