import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { IndependentFleet } from '../../../bench/load/independent.js';
import { nowMicros } from '../../../bench/load/message.js';
import { Cleanup } from '../../support/processes.js';
import { until } from '../../support/until.js';
import { FeedServer } from '../support/feed-server.js';

const noCompiler = !IndependentFleet.isAvailable;
const SETTLE_MS = 20_000;
const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function start(signals: number): Promise<{ server: FeedServer; fleet: IndependentFleet }> {
  const server = cleanup.add(await FeedServer.start(), (self) => self.stop());
  const fleet = cleanup.add(await IndependentFleet.connect(server.port, { clients: 7, from: 5, signals }), (self) =>
    self.close(),
  );
  expect(server.connections.length).toBe(7);
  return { server, fleet };
}

test.skipIf(noCompiler)('the generator in C gets every signal and knows how late each was', async () => {
  const { server, fleet } = await start(105);
  for (const { ws } of server.connections) ws.send('2');
  const begin = nowMicros();
  for (let n = 0; n < 5; n++) server.send(n, begin);
  // 1 to 100 ms before they are sent.
  for (let n = 5; n < 105; n++) server.send(n, nowMicros() - (n - 4) * 1000);
  const report = await fleet.report(SETTLE_MS);
  expect(report).toMatchObject({ received: 735, timed: 700, outOfOrder: 0, closed: 0 });
  expect(report.p50).toBeGreaterThanOrEqual(50_000);
  expect(report.p90).toBeGreaterThanOrEqual(90_000);
  expect(report.p99).toBeGreaterThanOrEqual(99_000);
  expect(report.max).toBeGreaterThanOrEqual(100_000);
  expect(report.cpuMicros).toBeGreaterThan(0);
  await until('answers to the heartbeats', () => server.connections.every(({ said }) => said.length > 0));
  expect(server.connections.map(({ said }) => said)).toEqual(Array.from({ length: 7 }, () => ['3']));
});

test.skipIf(noCompiler)(
  'the generator in C tells what is missing, and ends when it has waited long enough',
  async () => {
    const { server, fleet } = await start(10);
    for (let n = 0; n < 10; n++) if (n !== 7) server.send(n, nowMicros());
    await sleep(100);
    expect(await fleet.report(100)).toMatchObject({ received: 63, timed: 28, outOfOrder: 7 });
  },
);

test.skipIf(noCompiler)('the generator in C can be made to take longer for a signal', async () => {
  const server = cleanup.add(await FeedServer.start(), (self) => self.stop());
  const plan = { clients: 7, signals: 3, idleNanos: 5_000_000 };
  const fleet = cleanup.add(await IndependentFleet.connect(server.port, plan), (self) => self.close());
  for (let n = 0; n < 3; n++) server.send(n, nowMicros());
  const report = await fleet.report(SETTLE_MS);
  expect(report).toMatchObject({ received: 21, outOfOrder: 0 });
  // All of it is spent but what comes after the last signal was counted.
  expect(report.cpuMicros).toBeGreaterThan(0.5 * 21 * 5000);
  expect(report.max).toBeGreaterThan(6 * 5000);
});

test.skipIf(noCompiler)('the generator in C that is refused says so', async () => {
  const server = await FeedServer.start();
  server.stop();
  await expect(IndependentFleet.connect(server.port, { clients: 1, signals: 1 })).rejects.toThrow('Connection refused');
});

test.skipIf(noCompiler)(
  'the generator in C can send the headers of a browser, and tells how long the connects took',
  async () => {
    const server = cleanup.add(await FeedServer.start(), (self) => self.stop());
    const begin = nowMicros();
    const plan = { clients: 150, signals: 0, headers: 'browser' } as const;
    const fleet = cleanup.add(await IndependentFleet.connect(server.port, plan), (self) => self.close());
    const { connectMicros, cpuMicros } = fleet.connects;
    expect(connectMicros).toBeGreaterThan(0);
    expect(connectMicros).toBeLessThan(nowMicros() - begin);
    expect(cpuMicros).toBeGreaterThan(0);
    expect(server.connections.filter(({ open, headerBytes }) => open && headerBytes > 700)).toHaveLength(150);
    await fleet.close();
    await until('their end', () => server.connections.every(({ open }) => !open));
  },
);
