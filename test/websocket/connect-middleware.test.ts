import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { afterEach, expect, test } from 'vitest';
import { pino } from 'pino';
import { ErrorBoundary, type Fault } from '../../src/http/error-boundary.js';
import { ConnectMiddleware } from '../../src/websocket/connect-middleware.js';
import type { FeedServer } from '../../src/websocket/feed-socket.js';
import { Cleanup, HOST } from '../support/processes.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test('a client whose token cannot be checked is sent away at once and reconnects, and the error is reported', async () => {
  const faults: Fault[] = [];
  const boundary = new ErrorBoundary((fault) => faults.push(fault));
  let isBroken = true;
  const entrance = new ConnectMiddleware({
    tokens: {
      verify: async () => {
        if (isBroken) throw new Error('no such key');
        return { ok: true, identity: { user: undefined, allowed: undefined, expiresAtMs: Infinity } };
      },
    },
    isShort: () => false,
    onUnrecoverable: () => {},
    onRefused: () => {},
    boundary,
    log: pino({ level: 'silent' }),
  });
  const http = createHttpServer();
  const server: FeedServer = new Server(http);
  cleanup.add(server, (self) => self.close());
  server.use((socket, next) => entrance.admit(socket, next));
  http.listen(0, HOST);
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const client = io(`http://${HOST}:${port}`, {
    auth: { token: 'x' },
    reconnectionDelay: 10,
    reconnectionDelayMax: 20,
  });
  cleanup.add(client, (self) => self.disconnect());
  // It would hang in its first try until CONNECT_TIMEOUT, which is 45 s here.
  await until('it to have come three times', () => faults.length >= 3);
  expect(faults[0]).toMatchObject({ stage: 'promise', error: new Error('no such key') });
  expect(faults[0]?.subject).toMatch(/^client [\w-]{20}$/);
  isBroken = false;
  await until('it to be let in', () => client.connected);
});
