import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';

import { httpRequest } from '../../support/http.js';
import { FeedClient, Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { until } from '../../support/until.js';

// How the gateway speaks Engine.IO on a connection that begins as a WebSocket, beyond what the protocols ask of every server:
// that is in engine-io-v4.test.ts, and in ../socket-io-v5.test.ts.

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const frame = (data: string | Uint8Array): Buffer => RawClient.frame(data);

async function raw(pod: Pod): Promise<RawClient> {
  return cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
}

/** A client that has opened its WebSocket; what the open packet says. */
async function opened(pod: Pod): Promise<{ client: RawClient; open: Record<string, unknown> }> {
  const client = await raw(pod);
  await client.open();
  await client.take('0{');
  const text = await client.take('}');
  return { client, open: JSON.parse(`{${text}`) as Record<string, unknown> };
}

/** A client that has got its welcome. */
async function welcomed(pod: Pod): Promise<RawClient> {
  const { client } = await opened(pod);
  await client.send(frame('40'));
  await client.take('"welcome"');
  await client.take(']');
  return client;
}

/** An event of so many bytes. */
function event(size: number): string {
  return `42["a","${'x'.repeat(size - 10)}"]`;
}

/** Why the pod says that its clients went, in order. */
function reasons(pod: Pod): unknown[] {
  return pod
    .logs()
    .filter(({ msg }) => msg === 'client disconnected')
    .map(({ reason }) => reason);
}

/** The same, once there is one: the lines come a moment after the fact. */
async function firstReasons(pod: Pod): Promise<unknown[]> {
  await until('a reason', () => reasons(pod).length > 0, { seen: () => pod.output() });
  return reasons(pod);
}

async function gone(pod: Pod, client: RawClient): Promise<void> {
  await until('the connection to be closed', () => client.closed, { seen: () => client.received.toString('latin1') });
  await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
}

describe('heartbeat', () => {
  test('a ping comes one interval after the last, for an answer that comes at once', async () => {
    const pod = await Pod.start(cleanup, { PING_INTERVAL: '500', PING_TIMEOUT: '5000' });
    const client = await welcomed(pod);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      await client.take('\u00012');
      times.push(Date.now());
      await client.send(frame('3'));
    }
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    for (const gap of gaps) {
      expect(gap).toBeGreaterThan(350);
      expect(gap).toBeLessThan(1500);
    }
  });

  test('another packet extends the wait for the answer, once', async () => {
    const pod = await Pod.start(cleanup, { PING_INTERVAL: '300', PING_TIMEOUT: '1500' });
    const client = await welcomed(pod);
    await client.take('\u00012');
    const pinged = Date.now();
    const talk = (async () => {
      await sleep(1000);
      while (!client.closed) {
        await client.send(frame('42["hello"]'));
        await sleep(100);
      }
    })();
    await talk;
    const lasted = Date.now() - pinged;
    expect(lasted).toBeGreaterThan(2200);
    expect(lasted).toBeLessThan(5000);
    expect(await firstReasons(pod)).toEqual(['ping timeout']);
  });

  test('a pod that was stopped for longer than PING_TIMEOUT gives nobody up for it', async () => {
    const pod = await Pod.start(cleanup, { PING_INTERVAL: '300', PING_TIMEOUT: '600' });
    const client = await welcomed(pod);
    client.socket.on('data', (data: Buffer) => {
      for (let i = data.toString('latin1').split('\u00012').length; i > 1; i--) client.socket.write(frame('3'));
    });
    await sleep(700);
    await pod.child.kill('SIGSTOP');
    await sleep(2000);
    await pod.child.kill('SIGCONT');
    await sleep(1500);
    expect(client.closed).toBe(false);
    expect(reasons(pod)).toEqual([]);
  });
});

test('packets that mean nothing here are ignored', async () => {
  const pod = await Pod.start(cleanup);
  const client = await welcomed(pod);
  for (const packet of ['0', '3', '3probe', '5', '6', '42["nobody listens"]', '43999[]'])
    await client.send(frame(packet));
  await client.send(frame('41'));
  expect(await firstReasons(pod)).toEqual(['client namespace disconnect']);
  expect(client.closed).toBe(false);
});

test('a message of MAX_PAYLOAD bytes is taken, and a byte more closes the connection', async () => {
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000' });
  const client = await welcomed(pod);
  await client.send(frame(event(1000)));
  await client.send(frame('42["b"]'));
  await sleep(100);
  expect(client.closed).toBe(false);
  await client.send(frame(event(1001)));
  await gone(pod, client);
  expect(await firstReasons(pod)).toEqual(['payload too large']);
});

test('a connection that the client half closes is closed', async () => {
  const pod = await Pod.start(cleanup);
  const client = await welcomed(pod);
  client.socket.end();
  await gone(pod, client);
  expect(await firstReasons(pod)).toEqual(['transport close']);
});

test('a client that asks for more and more sockets is cut', async () => {
  const pod = await Pod.start(cleanup);
  const client = await welcomed(pod);
  for (let i = 0; i < 10; i++) await client.send(frame(`40/none-${i},`));
  await gone(pod, client);
  // Each was answered until then.
  expect(client.received.toString('latin1').split('Invalid namespace').length - 1).toBe(3);
});

test('a pod that stops closes its WebSocket clients', async () => {
  const pod = await Pod.start(cleanup);
  const client = await welcomed(pod);
  expect(await pod.child.kill('SIGTERM')).toBe(0);
  expect(client.closed).toBe(true);
  expect(await firstReasons(pod)).toEqual(['drained']);
});

test('CONNECT, welcome and the newest statuses leave in one piece', async () => {
  const pod = await Pod.start(cleanup);
  for (const service of ['a', 'b', 'c']) await pod.post('/v1/status', { service, status: 'active', message: 'm' });
  const { client } = await opened(pod);
  const pieces: string[] = [];
  client.socket.on('data', (data: Buffer) => pieces.push(data.toString('latin1')));
  await client.send(frame('40'));
  await until('the statuses', () => pieces.join('').includes('"service":"c"'));
  expect(pieces).toHaveLength(1);
});

describe('an invalid handshake is answered with the number that Engine.IO has for it', () => {
  test('a WebSocket transport without a WebSocket', async () => {
    const pod = await Pod.start(cleanup);
    const answer = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=websocket`);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toEqual({ code: 3, message: 'Bad request' });
  });

  test('a WebSocket where only long-polling is offered', async () => {
    const pod = await Pod.start(cleanup, { TRANSPORTS: 'polling' });
    const client = await raw(pod);
    await client.send(RawClient.upgrade());
    await client.take('HTTP/1.1 400 Bad Request');
    expect(await client.take('}')).toContain('"Transport unknown"');
  });

  test('a WebSocket that says that it is long-polling is refused, and the pod lives', async () => {
    const pod = await Pod.start(cleanup);
    const polling = await raw(pod);
    const sid = await polling.handshake();
    for (const session of [`&sid=${sid}`, '', '&sid=none', `&transport=websocket&sid=${sid}&transport=polling`]) {
      const client = await raw(pod);
      await client.send(RawClient.upgrade().replace('transport=websocket', `transport=polling${session}`));
      await client.take('HTTP/1.1 400 Bad Request');
      await client.send(frame('2probe'));
    }
    expect((await fetch(`${pod.adminUrl}/healthz`)).status).toBe(200);
    expect(pod.faults()).toEqual([]);
  });

  test('a plain request for a session that is on a WebSocket is answered and not held', async () => {
    const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '1' });
    const http = await raw(pod);
    const sid = await http.handshake();
    const upgraded = await raw(pod);
    await upgraded.open(sid);
    await upgraded.send(frame('2probe'));
    await upgraded.take('3probe');
    await upgraded.send(frame('5'));
    await upgraded.send(frame('40'));
    await upgraded.take('"welcome"');
    const url = `${pod.url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`;
    for (const method of ['GET', 'POST']) {
      const answer = await httpRequest(url, { method, ...(method === 'POST' && { body: '40' }) });
      expect([method, answer.status, JSON.parse(answer.body)]).toEqual([
        method,
        400,
        { code: 3, message: 'Bad request' },
      ]);
    }
    expect(upgraded.closed).toBe(false);
    expect(await pod.metric('gateway_sessions')).toBe(1);
  });

  test('the session of a WebSocket client cannot be used over HTTP', async () => {
    const pod = await Pod.start(cleanup);
    const { open } = await opened(pod);
    const session = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${String(open['sid'])}`;
    expect((await httpRequest(session)).status).toBe(400);
  });
});

test('a client that asks for binary as text, and one with a query of its own, are served', async () => {
  const pod = await Pod.start(cleanup);
  const client = await raw(pod);
  await client.send(RawClient.upgrade().replace('transport=websocket', 'transport=websocket&b64=1'));
  await client.take('0{"sid":');
  await client.send(frame('40'));
  await client.take('"welcome"');
  const other = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], query: { a: 'b c&d' } });
  expect(other.socket.connected).toBe(true);
  expect(await pod.metric('gateway_connections', { transport: 'websocket' })).toBe(2);
});
