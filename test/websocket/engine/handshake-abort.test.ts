import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { signal } from '../../support/signals.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ABORTS = 1000;
const AT_ONCE = 20;

/** Goes as far as the name of the stage says; whoever calls it then aborts. `other` opens a second connection. */
type Stage = (client: RawClient, other: () => Promise<RawClient>) => Promise<void>;

const CONNECT = '40';

async function probe(client: RawClient, other: () => Promise<RawClient>): Promise<{ sid: string; http: RawClient }> {
  const http = await other();
  const sid = await http.handshake();
  await client.open(sid);
  return { sid, http };
}

async function connectedOverPolling(client: RawClient): Promise<string> {
  const sid = await client.handshake();
  await client.post(sid, CONNECT);
  await client.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
  await client.take('"welcome"');
  await client.take(']');
  return sid;
}

const STAGES: Readonly<Record<string, Stage>> = {
  'after the TCP connection': async () => {},
  'in the middle of the request line': (client) => client.send('GET /socket.io/?EI'),
  'in the middle of the headers of a handshake': (client) =>
    client.send(RawClient.request('GET', 'transport=polling').slice(0, -12)),
  'after a polling handshake, its answer not read': (client) =>
    client.send(RawClient.request('GET', 'transport=polling')),
  'after the open packet over polling': async (client) => {
    await client.handshake();
  },
  'in the middle of the headers of a POST': async (client) => {
    const sid = await client.handshake();
    await client.send(RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': 2 }).slice(0, -6));
  },
  'in the middle of the body of the POST with CONNECT': async (client) => {
    const sid = await client.handshake();
    await client.send(`${RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': 2 })}4`);
  },
  'after the POST with CONNECT, its answer not read': async (client) => {
    const sid = await client.handshake();
    await client.send(`${RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': 2 })}40`);
  },
  'after CONNECT over polling': async (client) => {
    await client.post(await client.handshake(), CONNECT);
  },
  'with a poll hanging before CONNECT': async (client) => {
    const sid = await client.handshake();
    await client.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
  },
  'with a poll asked for twice': async (client, other) => {
    const sid = await client.handshake();
    await client.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
    await (await other()).send(RawClient.request('GET', `transport=polling&sid=${sid}`));
  },
  'with a poll hanging and CONNECT under way on another connection': async (client, other) => {
    const http = await other();
    const sid = await http.handshake();
    await client.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
    await http.send(`${RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': 2 })}40`);
  },
  'after the welcome over polling': async (client) => {
    await connectedOverPolling(client);
  },
  'with a poll hanging after the welcome': async (client) => {
    const sid = await connectedOverPolling(client);
    await client.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
  },
  'after a close packet over polling': async (client) => {
    const sid = await connectedOverPolling(client);
    await client.send(`${RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': 1 })}1`);
  },
  'in the middle of the request for a WebSocket': (client) => client.send(RawClient.upgrade().slice(0, -20)),
  'after the request for a WebSocket, its answer not read': (client) => client.send(RawClient.upgrade()),
  'after 101': (client) => client.open(),
  'in the middle of the frame with CONNECT': async (client) => {
    await client.open();
    await client.send(RawClient.frame(CONNECT).subarray(0, 7));
  },
  'after CONNECT over WebSocket, its answer not read': async (client) => {
    await client.open();
    await client.send(RawClient.frame(CONNECT));
  },
  'after the welcome over WebSocket': async (client) => {
    await client.open();
    await client.send(RawClient.frame(CONNECT));
    await client.take('"welcome"');
  },
  'after the request to upgrade, its answer not read': async (client, other) => {
    const sid = await (await other()).handshake();
    await client.send(RawClient.upgrade(sid));
  },
  'after 101 for an upgrade': async (client, other) => {
    await probe(client, other);
  },
  'after the probe, its answer not read': async (client, other) => {
    await probe(client, other);
    await client.send(RawClient.frame('2probe'));
  },
  'after the answer to the probe': async (client, other) => {
    await probe(client, other);
    await client.send(RawClient.frame('2probe'));
    await client.take('3probe');
  },
  'after the probe, with a poll hanging and CONNECT sent': async (client, other) => {
    const { sid, http } = await probe(client, other);
    await http.post(sid, CONNECT);
    await http.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
    await client.send(RawClient.frame('2probe'));
    await client.take('3probe');
  },
  'after the upgrade': async (client, other) => {
    await probe(client, other);
    await client.send(RawClient.frame('2probe'));
    await client.take('3probe');
    await client.send(RawClient.frame('5'));
  },
  'after the upgrade of a client that had got its welcome over polling': async (client, other) => {
    const http = await other();
    const sid = await connectedOverPolling(http);
    await client.open(sid);
    await client.send(RawClient.frame('2probe'));
    await client.take('3probe');
    await client.send(RawClient.frame('5'));
  },
  'after the upgrade and CONNECT': async (client, other) => {
    await probe(client, other);
    await client.send(RawClient.frame('2probe'));
    await client.take('3probe');
    await client.send(RawClient.frame('5'));
    await client.send(RawClient.frame(CONNECT));
  },
};

test(
  `${ABORTS} clients that abort at every stage of the handshake leave nothing behind and disturb nobody`,
  { timeout: 240_000 },
  async () => {
    const pod = await Pod.start(cleanup, {
      PING_INTERVAL: '1000',
      PING_TIMEOUT: '3000',
      CONNECT_TIMEOUT: '2000',
    });
    const honest = [
      await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] }),
      await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] }),
    ];

    const stages = Object.entries(STAGES);
    const failures: string[] = [];
    let next = 0;
    let aborting = true;
    async function abortInTurn(): Promise<void> {
      for (let i = next++; i < ABORTS; i = next++) {
        const [name, go] = stages[i % stages.length] ?? ['none', () => Promise.resolve()];
        // Every stage is left both ways in turn, whatever the number of stages is.
        const how = (i + Math.floor(i / stages.length)) % 2 === 0 ? 'RST' : 'FIN';
        const clients: RawClient[] = [];
        const open = async (): Promise<RawClient> => {
          const client = await RawClient.connect(pod.port);
          clients.push(client);
          return client;
        };
        try {
          await go(await open(), open);
        } catch (error) {
          failures.push(`${name} (${how}): ${(error as Error).message}`);
        }
        await Promise.all(clients.map((client) => client.abort(how)));
      }
    }
    const published: unknown[] = [];
    async function publish(): Promise<void> {
      const one = signal(published.length);
      published.push(one);
      expect((await pod.post('/v1/signals', one)).status).toBe(202);
      if (aborting) await publish();
    }
    const publishing = publish();
    await Promise.all(Array.from({ length: AT_ONCE }, abortInTurn));
    aborting = false;
    await publishing;

    expect(failures).toEqual([]);
    expect(published.length).toBeGreaterThan(100);
    await until(
      'the honest clients to have everything',
      () => honest.every((c) => c.signals.length >= published.length),
      {
        limit: 30_000,
        seen: () => honest,
      },
    );
    for (const client of honest) {
      expect(client.signals.map(([payload]) => payload)).toEqual(published);
      expect(client.disconnects).toEqual([]);
    }
    const counts = async (): Promise<number[]> =>
      Promise.all([pod.metric('gateway_sessions'), pod.metric('gateway_connections')]);
    let last: number[] = [];
    await until(
      'the aborted clients to be gone',
      async () => {
        last = await counts();
        return last.every((count) => count === honest.length);
      },
      { limit: 60_000, seen: () => last },
    );
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
    expect(pod.logs().filter(({ level }) => Number(level) >= 50)).toEqual([]);
    expect(pod.child.exited).toBe(false);
  },
);
