import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { test } from '../support/own-cleanup.js';
import { Pod } from '../support/pod.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/until.js';

/** How long a kept connection may be idle, at least: what the gateway announces, in seconds. */
const ANNOUNCED_SECONDS = 7;
/** uWebSockets.js looks at its connections once in so many ms; what it closes depends on when one begins to be idle. */
const TICK_MS = 4000;
const PHASES = 8;

const REQUESTS = [
  ['the public port', 'GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a session of long-polling', RawClient.request('GET', 'transport=polling')],
  ['the admin port', 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n'],
] as const;

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'a kept connection serves another request after it was idle for as long as is announced',
  { timeout: 40_000 },
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    const one = async (name: string, request: string, phase: number): Promise<string> => {
      await sleep((phase * TICK_MS) / PHASES);
      const port = name === 'the admin port' ? pod.adminPort : pod.port;
      const client = cleanup.add(await RawClient.connect(port), ({ socket }) => socket.destroy());
      await client.send(request);
      await client.take('\r\n\r\n');
      client.received = Buffer.alloc(0);
      await sleep(ANNOUNCED_SECONDS * 1000);
      await client.send(request);
      return `${name}: ${(await client.take('\r\n\r\n')).slice(0, 'HTTP/1.1'.length)}`;
    };
    const answers = REQUESTS.flatMap(([name, request]) =>
      Array.from({ length: PHASES }, (_, phase) => one(name, request, phase)),
    );
    expect(new Set(await Promise.all(answers))).toEqual(new Set(REQUESTS.map(([name]) => `${name}: HTTP/1.1`)));
  },
);

test.concurrent(
  'a client that asks for the connection to be closed is told that it will be; others are told how long it is kept',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    const requests = [...REQUESTS, ['a page', 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'] as const];
    for (const [name, request] of requests) {
      for (const [method, header] of [
        ['GET', 'Connection: close'],
        ['HEAD', 'connection: Close'],
        ['GET', 'Connection: keep-alive'],
      ] as const) {
        const client = cleanup.add(
          await RawClient.connect(name === 'the admin port' ? pod.adminPort : pod.port),
          ({ socket }) => socket.destroy(),
        );
        await client.send(request.replace('GET', method).replace('\r\n', `\r\n${header}\r\n`));
        const said = [...(await client.take('\r\n\r\n')).matchAll(/^(?:connection|keep-alive): .*$/gim)].map(String);
        const closes = header !== 'Connection: keep-alive';
        expect([name, method, header, said]).toEqual([
          name,
          method,
          header,
          [closes ? 'Connection: close' : 'Keep-Alive: timeout=7'],
        ]);
        if (closes) await until('the connection to be closed', () => client.closed);
      }
    }
  },
);

test.concurrent(
  'a connection on which no whole request comes is closed, even if its bytes never stop',
  { timeout: 40_000 },
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    const closed = async (port: number): Promise<void> => {
      const silent = cleanup.add(await RawClient.connect(port), ({ socket }) => socket.destroy());
      const dripping = cleanup.add(await RawClient.connect(port), ({ socket }) => socket.destroy());
      await dripping.send('GET / HTTP/1.1\r\nhost: a\r\nx: ');
      const drip = cleanup.add(
        setInterval(() => void dripping.send('x'), 200),
        (timer) => clearInterval(timer),
      );
      await until('both to be closed', () => silent.closed && dripping.closed, { limit: 20_000 });
      clearInterval(drip);
      expect(silent.received.length).toBe(0);
    };
    await Promise.all([pod.port, pod.adminPort].map(closed));
  },
);
