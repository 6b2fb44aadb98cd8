import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { REFUSALS } from '../../src/errors.js';
import { type HttpAnswer, httpRequest } from '../support/http.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod } from '../support/pod.js';
import { HOST } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const SIGTERM_AT_START = fileURLToPath(new URL('../support/sigterm-at-start.cjs', import.meta.url));

/** Whether somebody takes TCP connections on a port. */
function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function handshake(pod: Pod): Promise<HttpAnswer> {
  return httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`);
}

describe('SIGTERM', () => {
  // They wait for seconds each, so they wait together.
  test.concurrent(
    'comes in this order: not ready, still taking clients, then refusing them, then closed',
    async ({ cleanup }) => {
      const pod = await Pod.start(cleanup, { DRAIN_DELAY_SECONDS: '3', DRAIN_SECONDS: '4' });
      const first = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'], reconnection: false });
      const end = pod.child.kill('SIGTERM');
      await pod.notReady('draining');
      // The delay: as before for whoever is still sent here.
      const late = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'], reconnection: false });
      expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
      await until('a signal at both clients', () => [first, late].every(({ signals }) => signals.length === 1));
      // The drain: polling clients need the port, new ones are turned away.
      const refused = await until('new clients to be refused', async () => {
        const answer = await handshake(pod);
        return answer.status === 503 && answer;
      });
      expect(JSON.parse(refused.body)).toEqual({ code: 'stopping', message: REFUSALS.stopping.message });
      expect(refused.headers['retry-after']).toBe('1');
      expect(await pod.metric('gateway_refusals_total', { reason: 'stopping' })).toBeGreaterThan(0);
      const stayed = await until(
        'one of the clients to be let go',
        () =>
          [first, late].some(({ socket }) => !socket.connected) && [first, late].find(({ socket }) => socket.connected),
      );
      expect((await pod.post('/v1/signals', signal(2))).status).toBe(202);
      await until('a signal at the one that is left', () => stayed.signals.length === 2, { seen: () => stayed });
      expect(await end).toBe(0);
      expect([first.disconnects, late.disconnects]).toEqual([['transport close'], ['transport close']]);
      const steps = pod.logs().map(({ msg }) => msg);
      expect(steps.filter((msg) => msg === 'a step of the shutdown failed; continuing with the next')).toEqual([]);
      expect(steps.indexOf('stopping')).toBeLessThan(steps.indexOf('disconnecting the clients'));
      expect(steps.indexOf('disconnecting the clients')).toBeLessThan(steps.indexOf('client disconnected'));
    },
  );

  test.concurrent('closes the port before the first client goes when none is on long-polling', async ({ cleanup }) => {
    const pod = await Pod.start(cleanup, { DRAIN_SECONDS: '4' });
    const clients = await Promise.all(
      [1, 2].map(() => FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], reconnection: false })),
    );
    const end = pod.child.kill('SIGTERM');
    await until('the port to be closed', async () => !(await isListening(pod.port)));
    const left = await until(
      'one of the clients to be left',
      () =>
        clients.filter(({ socket }) => socket.connected).length === 1 && clients.find(({ socket }) => socket.connected),
    );
    expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
    await until('a signal at the one that is left', () => left.signals.length === 1, { seen: () => left });
    expect(await end).toBe(0);
  });

  test.concurrent('without clients does not wait for DRAIN_SECONDS', async ({ cleanup }) => {
    const pod = await Pod.start(cleanup, { DRAIN_SECONDS: '3600' });
    expect(await pod.child.kill('SIGTERM')).toBe(0);
  });

  test.concurrent(
    'does not wait for clients that neither read nor close, on whichever transport',
    async ({ cleanup }) => {
      const pod = await Pod.start(cleanup, { DRAIN_SECONDS: '1' });
      const open = async (): Promise<RawClient> =>
        cleanup.add(await RawClient.connect(pod.port), (client) => client.abort('RST'));
      const webSocket = await open();
      await webSocket.open();
      await webSocket.send(RawClient.frame('40'));
      await webSocket.take('42["welcome"');
      const polling = await open();
      await polling.post(await polling.handshake(), '40');
      await until('both to be clients', async () => (await pod.metric('gateway_connections')) === 2);
      for (const { socket } of [webSocket, polling]) socket.pause();
      const begin = performance.now();
      expect(await pod.child.kill('SIGTERM')).toBe(0);
      // One for the drain, and two in which they might have closed.
      expect(performance.now() - begin).toBeLessThan(10_000);
    },
  );

  test.concurrent('disconnects the clients and ends in time while Redis hangs', async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, DRAIN_SECONDS: '2' });
    const clients = await Promise.all(
      ['websocket', 'polling', 'websocket'].map((transport) =>
        FeedClient.connect(cleanup, pod.url, { transports: [transport], reconnection: false }),
      ),
    );
    await redis.kill('SIGSTOP');
    cleanup.add(redis, (self) => self.kill('SIGCONT'));
    const begin = performance.now();
    expect(await pod.child.kill('SIGTERM')).toBe(0);
    // Kubernetes gives it 20 s beside the drain.
    expect(performance.now() - begin).toBeLessThan(15_000);
    expect(clients.map(({ disconnects }) => disconnects)).toEqual(clients.map(() => ['transport close']));
  });

  test.concurrent('that comes while the gateway starts keeps it from ever being ready', async ({ cleanup }) => {
    const nodeArgs = ['--require', SIGTERM_AT_START];
    const pod = await Pod.start(cleanup, { DRAIN_DELAY_SECONDS: '3' }, { ready: false, nodeArgs });
    const answer = await fetch(`${pod.adminUrl}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([503, { status: 'not ready', reasons: ['draining'] }]);
    expect(await pod.child.exit).toBe(0);
  });

  test.concurrent('ends the drain when the clients have left by themselves', async ({ cleanup }) => {
    const pod = await Pod.start(cleanup, { DRAIN_SECONDS: '3600' });
    const clients = await Promise.all([1, 2, 3].map(() => FeedClient.connect(cleanup, pod.url)));
    const end = pod.child.kill('SIGTERM');
    await pod.notReady('draining');
    for (const { socket } of clients) socket.disconnect();
    expect(await end).toBe(0);
  });

  test.concurrent.for(['DRAIN_DELAY_SECONDS', 'DRAIN_SECONDS'])(
    'a second time ends the wait of %s: all clients go at once, and the exit code is 0',
    async (variable, { cleanup }) => {
      const pod = await Pod.start(cleanup, { [variable]: '3600' });
      const clients = await Promise.all(
        ['websocket', 'polling', 'websocket'].map((transport) =>
          FeedClient.connect(cleanup, pod.url, { transports: [transport], reconnection: false }),
        ),
      );
      const end = pod.child.kill('SIGTERM');
      await pod.notReady('draining');
      pod.child.process.kill('SIGTERM');
      expect(await end).toBe(0);
      await until('all clients to have heard', () => clients.every(({ disconnects }) => disconnects.length === 1));
      for (const { disconnects } of clients) expect(['transport close', 'transport error']).toContain(disconnects[0]);
    },
  );

  test.concurrent('a third time ends the process, with the code of a killed one', async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, DRAIN_DELAY_SECONDS: '3600' });
    // A Redis that hangs keeps the steps after the drain busy long enough for a third signal.
    await redis.kill('SIGSTOP');
    const end = pod.child.kill('SIGTERM');
    const lines = (text: string): number => pod.logs().filter(({ msg }) => msg === text).length;
    await until('the first to be heard', () => lines('stopping') === 1);
    pod.child.process.kill('SIGTERM');
    await until('the second to be heard', () => lines('stopping at once') === 1);
    pod.child.process.kill('SIGTERM');
    expect(await end).toBe(143);
  });
});

test.concurrent('a draining pod goes on bridging while there is no other', async ({ cleanup }) => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, DRAIN_SECONDS: '12' });
  const clients = await Promise.all(
    [1, 2].map(() => FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], reconnection: false })),
  );
  await until('the pod to bridge', async () => (await pod.metric('gateway_bridge_lease')) === 1);
  const end = pod.child.kill('SIGTERM');
  await until('the bridge to be handed over', async () => (await pod.metric('gateway_bridge_lease')) === 0);
  const left = await until(
    'one of the clients to be left',
    () => clients.some(({ socket }) => !socket.connected) && clients.find(({ socket }) => socket.connected),
  );
  await redis.client(cleanup).publish('new_signal', JSON.stringify(signal(1)));
  await until('the signal at the one that is left', () => left.signals.length === 1, { seen: () => left });
  pod.child.process.kill('SIGTERM');
  expect(await end).toBe(0);
});
