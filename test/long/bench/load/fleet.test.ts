import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { afterEach, expect, test } from 'vitest';
import type { FleetPlan } from '../../../../bench/load/fleet-types.js';
import { Fleet } from '../../../../bench/load/fleet.js';
import { nowMicros, symbolName } from '../../../../bench/load/message.js';
import { Cleanup } from '../../../support/processes.js';
import { until } from '../../../support/until.js';
import { type Behaviour, FeedServer, welcome } from '../../../bench/support/feed-server.js';

const SETTLE_MS = 20_000;
const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function serve(behaviour?: Behaviour): Promise<FeedServer> {
  return cleanup.add(await FeedServer.start(behaviour), (server) => server.stop());
}

async function connect(server: FeedServer, plan: Partial<FleetPlan> = {}): Promise<Fleet> {
  const whole = { ports: [server.port], clients: 6, workers: 2, signals: 100, ...plan };
  const fleet = cleanup.add(await Fleet.connect(whole), (self) => self.close());
  await fleet.begin(0);
  return fleet;
}

function percentile(encoded: string, at: number): number {
  return decodeFromCompressedBase64(encoded).getValueAtPercentile(at) / 1000;
}

test('every client of every worker connects, from several addresses, and gets everything once and in order', async () => {
  const server = await serve();
  const progress: number[] = [];
  const fleet = cleanup.add(
    await Fleet.connect({ ports: [server.port], clients: 11, workers: 3, signals: 50 }, (count) =>
      progress.push(count),
    ),
    (self) => self.close(),
  );
  expect(server.connections.length).toBe(11);
  expect(progress.at(-1)).toBe(11);
  expect(new Set(server.connections.map(({ from }) => from)).size).toBe(11);
  for (let n = 0; n < 50; n++) server.send(n, nowMicros());
  await fleet.settled(50, SETTLE_MS);
  const report = await fleet.report(50);
  expect(report).toMatchObject({
    clients: 11,
    expected: 550,
    received: 550,
    lost: 0,
    twice: 0,
    outOfOrder: 0,
    dropped: 0,
  });
  expect(decodeFromCompressedBase64(report.latency).totalCount).toBe(550);
  expect(decodeFromCompressedBase64(report.spread).totalCount).toBe(50);
  expect(report.timeline.reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(550);
  expect(report.busiestWorkerMillis).toBeGreaterThan(0);
});

test('a server that holds every signal back for a known time has at least that latency, at every percentile', async () => {
  const server = await serve();
  const fleet = await connect(server);
  const waits = Array.from({ length: 50 }, (_, n) => 100 + 10 * n);
  const due = nowMicros();
  await Promise.all(waits.map((wait, n) => sleep(wait + 1).then(() => server.send(n, due))));
  await fleet.settled(50, SETTLE_MS);
  const { latency, ...counts } = await fleet.report(50);
  expect(counts).toMatchObject({ received: 300, lost: 0, outOfOrder: 0 });
  for (const at of [2, 10, 50, 90, 100]) {
    const known = waits[Math.ceil((at / 100) * 50) - 1] ?? 0;
    // Three digits are kept.
    expect(percentile(latency, at)).toBeGreaterThanOrEqual(known * 0.999);
  }
});

test('a server that freezes shows up as latency of every signal that was due meanwhile, not as silence', async () => {
  const server = await serve();
  const fleet = await connect(server);
  const start = nowMicros();
  const due = (n: number): number => start + n * 20_000;
  for (let n = 0; n < 75; n++) {
    // Half a second in, this process with the server in it stands still for a second; fifty signals fall due.
    if (n === 25) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    const wait = (due(n) - nowMicros()) / 1000;
    if (wait > 0) await sleep(wait);
    server.send(n, due(n));
  }
  await fleet.settled(75, SETTLE_MS);
  const { latency, spread, timeline } = await fleet.report(75);
  // Two thirds of the signals waited: 1000 ms the first of them, 20 ms less each one after it.
  expect(percentile(latency, 100)).toBeGreaterThanOrEqual(975);
  expect(percentile(latency, 66)).toBeGreaterThanOrEqual(450);
  expect(percentile(latency, 50)).toBeGreaterThanOrEqual(200);
  expect(timeline[0]?.max).toBeGreaterThanOrEqual(975);
  expect(decodeFromCompressedBase64(spread).totalCount).toBe(75);
});

test('what a server does not send is lost, and waiting for it ends', async () => {
  const server = await serve();
  const fleet = await connect(server);
  const [unlucky] = server.connections;
  for (let n = 0; n < 20; n++) {
    server.send(n, nowMicros(), n % 5 === 0 ? server.connections.filter((one) => one !== unlucky) : server.connections);
  }
  // The last one reaches nobody.
  await fleet.settled(21, 300);
  expect(await fleet.report(21)).toMatchObject({
    expected: 126,
    received: 116,
    lost: 10,
    silent: 10,
    twice: 0,
    outOfOrder: 0,
  });
});

test('a backlog is waited for as long as more of it comes, up to a limit', { timeout: 60_000 }, async () => {
  const server = await serve();
  const fleet = await connect(server);
  const drip = async (from: number): Promise<void> => {
    for (let n = from; n < from + 20; n++) {
      server.send(n, nowMicros());
      await sleep(200);
    }
  };
  const first = drip(0);
  expect(await fleet.settled(20, 2000, 30_000)).toBe(false);
  const lastAt = nowMicros();
  await first;
  const report = await fleet.report(20);
  expect(report).toMatchObject({ received: 120, lost: 0 });
  expect((lastAt - (report.lastAt ?? 0)) / 1e6).toBeLessThan(1);

  await fleet.begin(20);
  const second = drip(20);
  expect(await fleet.settled(40, 2000, 2500)).toBe(true);
  expect((await fleet.report(40)).lost).toBeGreaterThan(0);
  await second;
});

test('what a server sends again is twice, and not timed again', async () => {
  const server = await serve();
  const fleet = await connect(server);
  for (let n = 0; n < 10; n++) server.send(n, nowMicros());
  server.send(9, nowMicros());
  server.send(3, nowMicros());
  server.send(10, nowMicros());
  await fleet.settled(11, SETTLE_MS);
  const report = await fleet.report(11);
  expect(report).toMatchObject({ expected: 66, received: 78, lost: 0, twice: 12, outOfOrder: 0 });
  expect(decodeFromCompressedBase64(report.latency).totalCount).toBe(66);
});

test('what a server sends after a later signal is out of order, and not lost', async () => {
  const server = await serve();
  const fleet = await connect(server);
  for (const n of [0, 1, 3, 2, 4, 7, 5, 6]) server.send(n, nowMicros());
  await fleet.settled(8, SETTLE_MS);
  expect(await fleet.report(8)).toMatchObject({ expected: 48, received: 48, lost: 0, twice: 0, outOfOrder: 18 });
});

test('connections that a server ends are dropped, and nobody waits for them', async () => {
  const server = await serve();
  const fleet = await connect(server);
  server.send(0, nowMicros());
  await fleet.settled(1, SETTLE_MS);
  const [first, second] = server.connections;
  first?.ws.end(1001);
  second?.ws.close();
  await until('the ends to arrive', async () => (await fleet.report(1)).dropped === 2);
  server.send(1, nowMicros());
  await fleet.settled(2, SETTLE_MS);
  expect(await fleet.report(2)).toMatchObject({ expected: 12, received: 10, lost: 2, silent: 0, dropped: 2 });
});

test('warm-up is counted and not timed, and counting starts again from zero on request', async () => {
  const server = await serve();
  const fleet = await connect(server);
  await fleet.begin(10);
  for (let n = 0; n < 30; n++) server.send(n, nowMicros());
  await fleet.settled(30, SETTLE_MS);
  const first = await fleet.report(30);
  expect(first).toMatchObject({ expected: 180, received: 180, lost: 0 });
  expect(decodeFromCompressedBase64(first.latency).totalCount).toBe(120);
  await fleet.begin(35);
  for (let n = 30; n < 40; n++) server.send(n, nowMicros());
  await fleet.settled(40, SETTLE_MS);
  const second = await fleet.report(40);
  expect(second).toMatchObject({ expected: 60, received: 60, lost: 0 });
  expect(decodeFromCompressedBase64(second.latency).totalCount).toBe(30);
});

test('clients with topics ask for them, expect no more and no less, and take nothing else', async () => {
  const server = await serve();
  const topics = { symbols: 10, perClient: 3 };
  const fleet = await connect(server, { topics });
  for (const { auth } of server.connections) expect(new Set(auth.topics).size).toBe(3);
  for (let n = 0; n < 40; n++) {
    const symbol = symbolName(n % 10, 10);
    server.send(
      n,
      nowMicros(),
      server.connections.filter(({ auth }) => auth.topics?.includes(symbol)),
    );
  }
  await fleet.settled(40, SETTLE_MS);
  expect(await fleet.report(40)).toMatchObject({ expected: 72, received: 72, lost: 0, twice: 0, outOfOrder: 0 });
  server.send(40, nowMicros());
  await expect(fleet.failure).rejects.toThrow('which it did not ask for');
});

test('clients answer the heartbeats of Engine.IO and of WebSocket', async () => {
  const server = await serve();
  await connect(server);
  for (const { ws } of server.connections) {
    ws.send('2');
    ws.ping('are you there');
  }
  await until('answers', () => server.connections.every(({ said, pongs }) => said.length > 0 && pongs > 0));
  expect(server.connections.map(({ said, pongs }) => [said, pongs])).toEqual(server.connections.map(() => [['3'], 1]));
});

test("a browser's headers are sent where they are asked for", async () => {
  const server = await serve();
  await connect(server, { clients: 2, headers: 'browser' });
  for (const { headerBytes } of server.connections) expect(headerBytes).toBeGreaterThan(700);
});

test('a fleet fails to start if a server refuses one client, and says why', async () => {
  const refusing = await serve({ onConnect: ({ ws }) => ws.send('44{"message":"too many"}') });
  await expect(connect(refusing)).rejects.toThrow(/client \d+: the server refused it: \{"message":"too many"\}/);
  const closing = await serve({ onConnect: ({ ws }) => ws.end(1000) });
  await expect(connect(closing)).rejects.toThrow('the connection was closed');
  const gone = await serve();
  gone.stop();
  await expect(connect(gone)).rejects.toThrow('ECONNREFUSED');
});

test('a server that breaks the protocol ends the measurement', async () => {
  const server = await serve();
  const fleet = await connect(server);
  const { ws } = server.connections[0] ?? {};
  // Known to the module, and not to its typings.
  (ws as unknown as { sendFirstFragment: (message: string) => void }).sendFirstFragment('42[');
  await expect(fleet.failure).rejects.toThrow('in fragments');
});

test('a worker that dies ends the measurement', async () => {
  const server = await serve();
  const fleet = await connect(server);
  process.kill(fleet.pids[1] ?? 0, 'SIGKILL');
  await expect(fleet.failure).rejects.toThrow('A process of clients ended with SIGKILL');
  await expect(fleet.report(0)).rejects.toThrow('A process of clients ended');
});

test('slow clients read slowly, are in no figure of the others, and are counted apart', async () => {
  const server = await serve();
  const fleet = await connect(server, { clients: 20, slow: { share: 0.2, bytesPerSecond: 200 } });
  for (let n = 0; n < 100; n++) server.send(n, nowMicros());
  await fleet.settled(100, SETTLE_MS);
  const { slow, latency, ...others } = await fleet.report(100);
  expect(slow.clients).toBeGreaterThanOrEqual(3);
  expect(slow.clients).toBeLessThanOrEqual(5);
  expect(others.clients + slow.clients).toBe(20);
  expect(others).toMatchObject({ received: others.clients * 100, lost: 0 });
  expect(decodeFromCompressedBase64(latency).totalCount).toBe(others.clients * 100);
  // About 19,000 bytes each, at 200 a second.
  expect(slow.received).toBeLessThan(slow.clients * 100);
  expect(slow.expected - slow.received).toBe(slow.lost);
  fleet.hasten();
  const end = await until('the slow ones to catch up', async () => {
    const { slow: now } = await fleet.report(100);
    return now.received === now.expected && now;
  });
  expect(end).toMatchObject({ lost: 0, silent: 0, dropped: 0 });
});

test('slow clients that are cut come back, the others are dropped', async () => {
  const server = await serve();
  const fleet = await connect(server, { clients: 20, slow: { share: 0.2, bytesPerSecond: 200 } });
  for (const { ws } of server.connections.slice()) ws.close();
  const { slow, ...others } = await until('the slow ones to be back', async () => {
    const report = await fleet.report(0);
    return report.slow.reconnected === report.slow.clients && report;
  });
  expect(slow).toMatchObject({ dropped: 0, recovered: 0 });
  expect(others).toMatchObject({ reconnected: 0, dropped: others.clients });
});

test('clients that reconnect bring pid and offset to the next server and complete what they missed', async () => {
  const known = new Map<string, number>();
  const sent: number[] = [];
  const second = await serve({
    onConnect: (connection, self) => {
      const { pid, offset } = connection.auth;
      if (pid === undefined || !known.has(pid)) {
        welcome(connection, self);
        return;
      }
      connection.ws.send(`40{"sid":"s","pid":"${pid}"}`);
      connection.ws.send(`42["welcome",{"message":"again"},"${offset ?? ''}"]`);
      for (const n of sent.filter((missed) => missed > Number(offset?.split(':')[1])))
        self.send(n, nowMicros(), [connection]);
    },
  });
  const first = await serve({
    onConnect: (connection, self) => {
      const pid = self.newPid();
      known.set(pid, 0);
      connection.ws.send(`40{"sid":"s","pid":"${pid}"}`);
      connection.ws.send('42["welcome",{"message":"hello"},"epoch:0"]');
    },
  });
  const fleet = cleanup.add(
    await Fleet.connect({ ports: [first.port, second.port], clients: 8, workers: 2, signals: 100, reconnect: true }),
    (self) => self.close(),
  );
  expect([first.connections.length, second.connections.length]).toEqual([4, 4]);
  const send = (n: number): void => {
    sent.push(n);
    for (const server of [first, second]) server.send(n, nowMicros());
  };
  for (let n = 0; n < 10; n++) send(n);
  await fleet.settled(10, SETTLE_MS);
  const killedAt = nowMicros();
  first.stop();
  let n = 10;
  await until('all to be back', async () => {
    if (n < 90) send(n++);
    await sleep(50);
    return second.connections.filter(({ open }) => open).length === 8;
  });
  send(n++);
  await fleet.settled(n, SETTLE_MS);
  const report = await fleet.report(n);
  expect(report).toMatchObject({ received: 8 * n, lost: 0, twice: 0, dropped: 0, reconnected: 4, recovered: 4 });
  for (const { auth } of second.connections.slice(4)) expect(auth).toMatchObject({ offset: 'epoch:9' });
  // The stock client waits half a second at least.
  expect((report.lastBackAt ?? 0) - killedAt).toBeGreaterThan(490_000);
});

test('clients that reconnect are spread evenly over the ports that are named for that', async () => {
  const [first, second, third] = [await serve(), await serve(), await serve()];
  const plan = { ports: [first.port], portsAfter: [second.port, third.port], clients: 40, workers: 2, signals: 1 };
  cleanup.add(await Fleet.connect({ ...plan, reconnect: true }), (self) => self.close());
  expect(first.connections).toHaveLength(40);
  first.stop();
  const counts = (): number[] => [second, third].map(({ connections }) => connections.length);
  await until('all to be back', () => counts().reduce((sum, count) => sum + count) === 40, { seen: counts });
  expect(Math.min(...counts())).toBeGreaterThanOrEqual(16);
});

test('every single latency is written where it is asked for', async () => {
  const server = await serve();
  const samples = join(tmpdir(), `signal-gateway-samples-${process.pid}`);
  cleanup.add(samples, async (path) => {
    for (const worker of [0, 1]) await rm(`${path}-${worker}.csv`, { force: true });
  });
  const fleet = await connect(server, { samples });
  const due = nowMicros() - 5000;
  for (let n = 0; n < 4; n++) server.send(n, due);
  await fleet.settled(4, SETTLE_MS);
  await fleet.report(4);
  const lines = (await readFile(`${samples}-1.csv`, 'utf8')).trim().split('\n');
  expect(lines.length).toBe(12);
  for (const line of lines) {
    const [client = NaN, n = NaN, micros = NaN] = line.split(',').map(Number);
    expect([1, 3, 5]).toContain(client);
    expect(n).toBeLessThan(4);
    expect(micros).toBeGreaterThanOrEqual(5000);
  }
});

test('a fleet that is closed leaves no connection behind, and can be closed again', async () => {
  const server = await serve();
  const fleet = await connect(server);
  await fleet.close();
  await fleet.close();
  const ended = await until('all connections to end', () => server.connections.every(({ open }) => !open));
  expect(ended).toBe(true);
});
