import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ENGINE_REFUSALS, HTTP_ERRORS } from '../../../src/errors.js';
import { FrameClient } from '../../support/frame-client.js';
import { WEBSOCKET_HEADERS, httpRequest } from '../../support/http.js';
import { type Way, openSocket } from '../../support/packet-client.js';
import { Pod } from '../../support/pod.js';
import { PollingSession } from '../../support/polling-session.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { until } from '../../support/until.js';

// The Engine.IO protocol v4, requirement by requirement, as its own suite of tests has them. Where that one lets a server
// echo, a `subscribe` is acknowledged here. Two are tested elsewhere: polls and POSTs that overlap, beside the other refusals
// of a POST (polling-post.test.ts), and every answer to a bad request, with its headers and counters (refusals.test.ts).
// Protocol: https://socket.io/docs/v4/engine-io-protocol/

const started = new Cleanup();
const cleanup = new Cleanup();
const LIMITS = { pingInterval: 20_000, pingTimeout: 15_000, maxPayload: 50_000 };
let pod: Pod;
beforeAll(async () => {
  pod = await Pod.start(started, { PING_INTERVAL: '20000', PING_TIMEOUT: '15000', MAX_PAYLOAD: '50000' });
});
afterEach(async () => {
  await cleanup.run();
  if (pod.faults().length > 0) throw new Error(pod.output());
});
afterAll(() => started.run());

const SID = /^[\w-]{20}$/;
const POLLING = 'EIO=4&transport=polling';

/** Asks for a session, or for what the query says. */
function ask(query: string, method = 'GET'): ReturnType<typeof httpRequest> {
  return httpRequest(`${pod.url}/socket.io/?${query}`, { method });
}

/** Asks for a WebSocket that is refused. @returns status and body of the answer */
async function refusedSocket(query: string, at = pod): Promise<[number, unknown]> {
  const { status, body } = await httpRequest(`${at.url}/socket.io/?${query}`, { headers: WEBSOCKET_HEADERS });
  return [status, body === '' ? '' : JSON.parse(body)];
}

/** What is said of a session that there is not, or no more. */
const UNKNOWN = { code: 1, message: 'Session ID unknown' };

/** Waits until a session on long-polling is over. @returns what is said of it then */
async function ended(session: PollingSession): Promise<unknown> {
  const { body } = await until('the session to be over', async () => {
    const answer = await httpRequest(session.url);
    return answer.status === 400 && answer;
  });
  return JSON.parse(body);
}

/** A session on long-polling that has its welcome. */
async function welcomed(): Promise<PollingSession> {
  const session = await PollingSession.open(pod);
  await session.pollUntil(() => session.packets.some((packet) => packet.includes('"welcome"')));
  session.answers.length = 0;
  return session;
}

/** Polls until a session has so many acknowledgements, which other packets may stand between. */
async function acknowledged(session: PollingSession, count = 1): Promise<string[]> {
  const answers = (): string[] => session.packets.filter((packet) => packet.startsWith('43'));
  await session.pollUntil(() => answers().length >= count);
  return answers();
}

/** A WebSocket that has its welcome. */
async function welcomedSocket(): Promise<FrameClient> {
  const client = await FrameClient.open(cleanup, pod);
  await client.next();
  client.send('40');
  expect(await client.next()).toMatch(/^40\{"sid":/);
  expect(await client.next()).toMatch(/^42\["welcome",/);
  return client;
}

/** Brings a session on long-polling over to a WebSocket. */
async function upgraded(session: PollingSession, tls = false): Promise<FrameClient> {
  const client = await FrameClient.open(cleanup, pod, { sid: session.sid, tls });
  client.send('2probe');
  expect(await client.next()).toBe('3probe');
  client.send('5');
  return client;
}

/** Why a pod says that the client with this socket went. */
async function reasonOf(at: Pod, sid: string | undefined): Promise<unknown> {
  const line = await until('the reason in the log', () =>
    at.logs().find((one) => one['msg'] === 'client disconnected' && one['sid'] === sid),
  );
  return line['reason'];
}

/** Waits until a `subscribe` over a WebSocket is acknowledged. @returns whether it was granted */
async function isServed(client: FrameClient): Promise<boolean> {
  client.send('427["subscribe",["A"]]');
  for (;;) {
    const message = String(await client.next());
    if (message.startsWith('437')) return message === '437[{"ok":true,"topics":["A"]}]';
  }
}

describe('handshake', () => {
  test('over long-polling, the open packet has the session, its limits and the WebSocket it may upgrade to', async () => {
    const [first, second] = [await ask(POLLING), await ask(POLLING)];
    expect([first.status, first.headers['content-type'], first.body.charAt(0)]).toEqual([
      200,
      'text/plain; charset=UTF-8',
      '0',
    ]);
    const open = JSON.parse(first.body.slice(1)) as Record<string, unknown>;
    expect(open).toEqual({ sid: expect.stringMatching(SID), upgrades: ['websocket'], ...LIMITS });
    expect(second.body).not.toContain(String(open['sid']));
  });

  test('over a WebSocket, the open packet has the session and its limits, and nothing to upgrade to', async () => {
    const before = await pod.metric('gateway_sessions');
    const clients = [await FrameClient.open(cleanup, pod), await FrameClient.open(cleanup, pod)];
    const [first, second] = await Promise.all(
      clients.map(async (client) => {
        const packet = String(await client.next());
        expect(packet.charAt(0)).toBe('0');
        return JSON.parse(packet.slice(1)) as Record<string, unknown>;
      }),
    );
    expect(first).toEqual({ sid: expect.stringMatching(SID), upgrades: [], ...LIMITS });
    expect(second?.['sid']).not.toBe(first?.['sid']);
    expect(await pod.metric('gateway_sessions')).toBe(before + 2);
  });

  test.each([
    ['another version of the protocol', 'EIO=3&transport=', 5, ENGINE_REFUSALS.protocol_unsupported.message],
    ['a version that is not a number', 'EIO=abc&transport=', 5, ENGINE_REFUSALS.protocol_unsupported.message],
    ['no version', 'transport=', 5, ENGINE_REFUSALS.protocol_unsupported.message],
    ['another transport', 'EIO=4&transport=carrier-pigeon&was=', 0, 'Transport unknown'],
    ['no transport', 'EIO=4&was=', 0, 'Transport unknown'],
    ['a session that is not there', 'EIO=4&sid=none&transport=', 1, 'Session ID unknown'],
  ])('a handshake with %s is refused with 400 over either transport', async (_name, query, code, message) => {
    const before = await pod.metric('gateway_sessions');
    const { status, body } = await ask(`${query}polling`);
    expect([status, JSON.parse(body)]).toEqual([400, { code, message }]);
    expect(await refusedSocket(`${query}websocket`)).toEqual([400, { code, message }]);
    expect(await pod.metric('gateway_sessions')).toBe(before);
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH'])('a handshake by %s is refused with 400', async (method) => {
    const { status, body } = await ask(POLLING, method);
    expect([status, JSON.parse(body)]).toEqual([400, { code: 2, message: 'Bad handshake method' }]);
  });
});

describe('messages over long-polling', () => {
  test('a body of one packet is answered with "ok", and the next poll has the answer to the packet', async () => {
    const session = await welcomed();
    const { status, body } = await session.post('420["subscribe",["A"]]');
    expect([status, body]).toEqual([200, 'ok']);
    expect(await acknowledged(session)).toEqual(['430[{"ok":true,"topics":["A"]}]']);
  });

  test('the packets of one body are worked on in their order, and answered in one poll', async () => {
    const session = await welcomed();
    await session.post(['420["subscribe",["A"]]', '421["subscribe",["B"]]', '422["subscribe",[]]'].join('\x1e'));
    expect(await acknowledged(session, 3)).toEqual([
      '430[{"ok":true,"topics":["A"]}]',
      '431[{"ok":true,"topics":["B"]}]',
      '432[{"ok":true,"topics":[]}]',
    ]);
  });

  test('a body of text and of bytes as base64 is taken as both', async () => {
    const session = await welcomed();
    const withBytes = '451-1["subscribe",{"_placeholder":true,"num":0}]';
    await session.post([withBytes, 'bAQIDBA==', '422["subscribe",["A"]]'].join('\x1e'));
    expect(await acknowledged(session, 2)).toEqual([
      expect.stringMatching(/^431\[\{"ok":false,"error":\{"code":"invalid_topics"/),
      '432[{"ok":true,"topics":["A"]}]',
    ]);
  });

  test.each(['abc', '7', '3\x1eabc', 'b?\x1exyz'])(
    'a body with an invalid packet (%j) is refused with 400 and ends the session',
    async (body) => {
      const session = await welcomed();
      const answer = await session.post(body);
      expect([answer.status, JSON.parse(answer.body)]).toEqual([
        400,
        { code: 'bad_request', message: HTTP_ERRORS.bad_request.message },
      ]);
      expect(await ended(session)).toEqual(UNKNOWN);
    },
  );

  test('a poll that the client gives up ends the session', async () => {
    const session = await welcomed();
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(RawClient.request('GET', `transport=polling&sid=${session.sid}`));
    await session.post('3');
    await client.abort('RST');
    expect(await ended(session)).toEqual(UNKNOWN);
  });

  test('a second poll is refused with 400, and the first is told that the session ends', async () => {
    const session = await welcomed();
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(RawClient.request('GET', `transport=polling&sid=${session.sid}`));
    await session.post('3');
    expect((await httpRequest(session.url)).status).toBe(400);
    await client.take('HTTP/1.1 200 OK');
    await client.take('\r\n\r\n1');
    expect(await ended(session)).toEqual(UNKNOWN);
  });
});

describe('messages over a WebSocket', () => {
  test('a text is taken and answered', async () => {
    expect(await isServed(await welcomedSocket())).toBe(true);
  });

  test('bytes that a text has announced are taken, and answered', async () => {
    const client = await welcomedSocket();
    client.send('451-1["subscribe",{"_placeholder":true,"num":0}]', Uint8Array.from([1, 2, 3, 4]));
    expect(await client.next()).toMatch(/^431\[\{"ok":false,"error":\{"code":"invalid_topics"/);
    expect(await isServed(client)).toBe(true);
  });

  test.each([
    ['a packet of no type', 'x', 'parse error'],
    ['a word', 'abc', 'parse error'],
    ['an empty packet', '', 'parse error'],
    ['a type that is none', '7', 'parse error'],
    ['a ping from the client', '2', 'transport error'],
    ['a ping with data', '2probe', 'transport error'],
    ['a close packet', '1', 'transport close'],
  ])('%s ends the session', async (_name, packet, reason) => {
    const before = await pod.metric('gateway_sessions');
    const client = await FrameClient.open(cleanup, pod);
    await client.next();
    client.send('40');
    const sid = /"sid":"([^"]+)"/.exec(String(await client.next()))?.[1];
    client.send(packet);
    await client.closed();
    expect(await reasonOf(pod, sid)).toBe(reason);
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) <= before);
  });
});

describe('close', () => {
  test('a close packet over long-polling ends the session, and the poll that waits with a noop', async () => {
    const session = await welcomed();
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(RawClient.request('GET', `transport=polling&sid=${session.sid}`));
    expect((await session.post('1')).body).toBe('ok');
    await client.take('HTTP/1.1 200 OK');
    await client.take('\r\n\r\n6');
    expect(await ended(session)).toEqual(UNKNOWN);
  });

  test('a close packet over a WebSocket that was upgraded ends the session', async () => {
    const session = await welcomed();
    const client = await upgraded(session);
    client.send('1');
    await client.closed();
    expect(await ended(session)).toEqual(UNKNOWN);
  });
});

describe('upgrade', () => {
  test('a probe is answered, the poll that waits ends with a noop, and the session goes on over the WebSocket', async () => {
    const session = await welcomed();
    const client = await FrameClient.open(cleanup, pod, { sid: session.sid });
    client.send('2probe');
    expect(await client.next()).toBe('3probe');
    expect(await session.poll()).toEqual(['6']);
    client.send('5');
    expect(await isServed(client)).toBe(true);
  });

  test.each(['GET', 'POST'])(
    '%s over long-polling is refused after the upgrade, and the session lives',
    async (method) => {
      const session = await welcomed();
      const client = await upgraded(session);
      expect(await isServed(client)).toBe(true);
      const { status, body } = await httpRequest(session.url, { method, ...(method === 'POST' && { body: '41' }) });
      expect([status, JSON.parse(body)]).toEqual([400, { code: 3, message: 'Bad request' }]);
      expect(await isServed(client)).toBe(true);
    },
  );

  test('a probe that is given up leaves the session on long-polling, and another WebSocket may be tried', async () => {
    const session = await welcomed();
    const first = await FrameClient.open(cleanup, pod, { sid: session.sid });
    first.socket.destroy();
    const polled = session.post('420["subscribe",["A"]]');
    expect((await polled).body).toBe('ok');
    expect(await acknowledged(session)).toEqual(['430[{"ok":true,"topics":["A"]}]']);
    expect(await isServed(await upgraded(session))).toBe(true);
  });

  test('the session of another pod is unknown, over either transport', async () => {
    const other = await Pod.start(cleanup);
    const session = await welcomed();
    expect(await refusedSocket(`EIO=4&transport=websocket&sid=${session.sid}`, other)).toEqual([400, UNKNOWN]);
    const { status, body } = await httpRequest(`${other.url}/socket.io/?${POLLING}&sid=${session.sid}`);
    expect([status, JSON.parse(body)]).toEqual([400, UNKNOWN]);
    expect(await isServed(await upgraded(session))).toBe(true);
  });

  test('a session that began on a WebSocket cannot be asked for, over either transport', async () => {
    const client = await FrameClient.open(cleanup, pod);
    const { sid } = JSON.parse(String(await client.next()).slice(1)) as { sid: string };
    expect(await refusedSocket(`EIO=4&transport=websocket&sid=${sid}`)).toEqual([400, UNKNOWN]);
    expect((await ask(`${POLLING}&sid=${sid}`)).status).toBe(400);
    client.send('40');
    expect(await isServed(client)).toBe(true);
  });
});

describe('heartbeat', () => {
  const HEARTBEAT = { PING_INTERVAL: '300', PING_TIMEOUT: '700' };
  let beating: Pod;
  beforeAll(async () => {
    beating = await Pod.start(started, HEARTBEAT);
  });

  test('over long-polling, a session that answers its pings stays', async () => {
    const session = await PollingSession.begin(beating);
    for (let i = 0; i < 4; i++) expect(await session.poll()).toEqual(['2']);
  });

  test('over long-polling, a session that does not answer ends', async () => {
    const session = await PollingSession.begin(beating);
    // A poll takes the ping, and nobody answers it.
    expect(await ended(session)).toEqual(UNKNOWN);
  });

  describe.each(['a WebSocket', 'a WebSocket after an upgrade'] as const)('over %s', (way) => {
    test('a client that answers is pinged again and again and stays; one that does not is closed in time', async () => {
      const answering = await joined(way);
      const began = Date.now();
      const silent = await joined(way);
      for (let i = 0; i < 6; i++) {
        expect(await answering.client.next()).toBe('2');
        answering.client.send('3');
      }
      await silent.client.closed();
      const lasted = Date.now() - began;
      expect(lasted).toBeGreaterThan(900);
      expect(lasted).toBeLessThan(4000);
      // One ping, and then nothing until the end.
      expect(silent.client.messages).toEqual(['2']);
      expect(await reasonOf(beating, silent.sid)).toBe('ping timeout');
      expect(answering.client.isEnded).toBe(false);
    });
  });

  /** A WebSocket that has nothing left to read but pings, and the id of its socket. */
  async function joined(way: Exclude<Way, 'long-polling'>): Promise<{ client: FrameClient; sid: string | undefined }> {
    const client = await openSocket(cleanup, beating, way);
    client.send('40');
    const sid = /"sid":"([^"]+)"/.exec(String(await client.next()))?.[1];
    expect(await client.next()).toMatch(/^42\["welcome",/);
    return { client, sid };
  }
});
