import { readdirSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { PollingSession } from '../support/polling-session.js';
import { Cleanup, HOST } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const OPEN_FILES = 400;
/** A quarter is kept for what is not a client. */
const ROOM = 300;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function openFiles(pod: Pod): number {
  return readdirSync(`/proc/${pod.child.process.pid}/fd`).length;
}

test('a pod takes no more clients than it has open files for, and tells the others', async () => {
  const pod = await Pod.start(cleanup, {}, { openFiles: OPEN_FILES });
  // They join: a session on long-polling that has not takes no place.
  for (let i = 0; i < ROOM; i++) await PollingSession.open(pod);
  const answer = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`);
  expect([answer.status, JSON.parse(answer.body)]).toMatchObject([503, { code: 'max_connections' }]);
  expect(await pod.metric('gateway_refusals_total', { reason: 'max_connections' })).toBe(1);
});

test('a pod that has run out of open files keeps running, and keeps its clients', async () => {
  const pod = await Pod.start(cleanup, {}, { openFiles: OPEN_FILES });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const idle: Socket[] = [];
  for (let i = 0; i < OPEN_FILES; i++) {
    const socket = cleanup.add(connect(pod.port, HOST), (self) => self.destroy());
    socket.on('error', () => {});
    idle.push(socket);
  }
  await until('no file to be left', () => openFiles(pod) >= OPEN_FILES, { seen: () => openFiles(pod) });
  // Longer than the time between two looks at the memory, for which a file is opened.
  await sleep(2500);
  expect([pod.child.exited, pod.child.stderr.includes('EMFILE')]).toEqual([false, false]);
  for (const socket of idle) socket.destroy();
  await until('a file to be free', () => openFiles(pod) < OPEN_FILES / 2, { seen: () => openFiles(pod) });
  expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
  await until('the signal', () => client.signals.length === 1, { seen: () => client });
  expect(client.disconnects).toEqual([]);
});
