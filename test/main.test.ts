import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { FeedClient, MAIN, Pod } from './support/pod.js';
import { Child, Cleanup, HOST, freePort } from './support/processes.js';
import { RedisServer } from './support/redis.js';
import { signal } from './support/signals.js';
import { expectJsonLines, failedStart, startGateway } from './support/start.js';
import { until } from './support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const TRANSPORTS = [['websocket'], ['polling']];
const HAS_CURL = spawnSync('sh', ['-c', 'command -v curl']).status === 0;

async function clientsOf(pod: Pod): Promise<FeedClient[]> {
  return Promise.all(TRANSPORTS.map((transports) => FeedClient.connect(cleanup, pod.url, { transports })));
}

/** The banner's line to paste. */
async function lineToPaste(pod: Pod): Promise<string> {
  return until('the banner', () => /Publish a signal:\n {2}(.+)\n/.exec(pod.child.stderr)?.[1], {
    seen: () => pod.output(),
  });
}

/** Runs a line as a newcomer would; without curl on the machine, sends what the line says. */
async function paste(line: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const curl = /^curl -s (\S+) .*-d '(.+)'$/.exec(line);
  if (curl?.[1] !== undefined && curl[2] !== undefined && !HAS_CURL) {
    const [key] = env['API_KEY']?.split(',') ?? [];
    await fetch(curl[1], {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      body: curl[2],
    });
    return;
  }
  const shell = cleanup.add(new Child('sh', ['-c', line], env), (self) => self.kill());
  expect([await shell.exit, shell.stderr]).toEqual([0, '']);
}

/** Waits for the sample signal of the banner at every client. */
async function expectSample(clients: readonly FeedClient[]): Promise<void> {
  await until('the pasted signal', () => clients.every(({ signals }) => signals.length > 0), { seen: () => clients });
  for (const client of clients) {
    expect(client.signals.map(([payload]) => payload)).toEqual([
      signal(162.5, { signal: 'BUY', timestamp: expect.stringMatching(/^\d{4}-.*Z$/) as string }),
    ]);
  }
}

describe('the banner', () => {
  test('names the addresses and the mode, and its curl line publishes a signal', async () => {
    const pod = await Pod.start(cleanup);
    const line = await lineToPaste(pod);
    const addresses = [...pod.child.stderr.matchAll(/http:\/\/[\d.]+:\d+/g)].map(([url]) => url);
    expect(addresses.slice(0, 2)).toEqual([pod.url, pod.adminUrl]);
    expect(pod.child.stderr).toContain('embedded (one pod, journal in memory, no Redis)');
    const clients = await clientsOf(pod);
    await paste(line);
    await expectSample(clients);
  });

  test.each(['only-key', 'first-key,second-key'])(
    'has a curl line that works where the shell has API_KEY=%s too, and does not show the key',
    async (keys) => {
      const env = { API_KEY: keys };
      const pod = await Pod.start(cleanup, env);
      const line = await lineToPaste(pod);
      const clients = await clientsOf(pod);
      await paste(line, env);
      await expectSample(clients);
      expect(pod.output()).not.toMatch(/only-key|first-key/);
    },
  );

  test.each(['new_signal', 'it\'s $HOME; `signals` of "today"'])(
    'has with Redis a redis-cli line that publishes a signal into the channel %s',
    async (channel) => {
      const redis = await RedisServer.start(cleanup);
      const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, SIGNAL_CHANNEL: channel });
      const line = await lineToPaste(pod);
      expect(line).toMatch(/^redis-cli /);
      expect(pod.child.stderr).toContain(`Mode        ${redis.url}\n`);
      const clients = await clientsOf(pod);
      await paste(line);
      await expectSample(clients);
    },
  );

  test('stays out of standard output, which is only JSON lines when it is not a terminal', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, LOG_LEVEL: 'trace', DRAIN_SECONDS: '0' });
    await lineToPaste(pod);
    await clientsOf(pod);
    await redis.client(cleanup).publish('new_signal', 'not a signal');
    await redis.kill();
    await until('the pod to miss Redis', async () => (await fetch(`${pod.adminUrl}/readyz`)).status === 503);
    expect(await pod.child.kill('SIGTERM')).toBe(0);
    expect(pod.logs().length).toBeGreaterThanOrEqual(5);
    expectJsonLines(pod.child.stdout);
  });
});

describe('a signal to stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends the process with 0, and stock clients reconnect to whoever takes the port over',
    async (name) => {
      const env = { PORT: String(await freePort()), DRAIN_SECONDS: '0' };
      const first = await Pod.start(cleanup, env);
      const clients = await clientsOf(first);
      expect(await first.child.kill(name)).toBe(0);

      const second = await Pod.start(cleanup, env);
      await Promise.all(clients.map((client) => client.welcomed(2)));
      for (const client of clients) {
        // Anything else, such as "io server disconnect", would keep the stock client away.
        expect(['transport close', 'transport error']).toContain(client.disconnects[0]);
        expect(client.disconnects).toHaveLength(1);
      }
      expect((await second.post('/v1/signals', signal(1))).status).toBe(202);
      await until('a signal at every client', () => clients.every(({ signals }) => signals.length > 0), {
        seen: () => clients,
      });
      expectJsonLines(first.child.stdout);
    },
  );

  test('ends the process with 0 while Redis does not answer', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, DRAIN_SECONDS: '0' });
    await clientsOf(pod);
    await redis.kill('SIGSTOP');
    expect(await pod.child.kill('SIGTERM')).toBe(0);
  });

  test('that comes after one that hurries ends the process at once, with the code of a killed process', async () => {
    // With Redis to part from, no stop is over within one turn of the loop.
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, DRAIN_SECONDS: '600' });
    await clientsOf(pod);
    pod.child.process.kill('SIGTERM');
    await until('the drain to begin', () => pod.logs().some(({ msg }) => msg === 'disconnecting the clients'), {
      seen: () => pod.output(),
    });
    // Both wait while the process is paused, so the second is there before the stop has got anywhere. The system delivers
    // them in either order, and on a busy machine not at once: a Redis that does not answer keeps the stop going until then.
    await redis.kill('SIGSTOP');
    await pod.child.kill('SIGSTOP');
    pod.child.process.kill('SIGINT');
    pod.child.process.kill('SIGTERM');
    await pod.child.kill('SIGCONT');
    expect([130, 143]).toContain(await pod.child.exit);
    await redis.kill('SIGCONT');
  });
});

describe('a port that is taken', () => {
  test.each(['PORT', 'ADMIN_PORT'])('as %s by any process ends the start with one line that names it', async (name) => {
    const server = cleanup.add(createServer().listen(0, HOST), (self) => self.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const line = await failedStart(startGateway(cleanup, { [name]: String(port) }));
    expect(line).toContain(`${HOST}:${port} (${name})`);
  });

  test.each(['PORT', 'ADMIN_PORT'])(
    'as %s by another gateway ends the start, and the other one serves on',
    async (name) => {
      // Ports that were named, not picked by the system: those are what two gateways could come to share.
      const ports = { PORT: String(await freePort()), ADMIN_PORT: String(await freePort()) };
      const other = await Pod.start(cleanup, ports);
      const clients = await clientsOf(other);
      for (const port of [other.port, other.adminPort]) {
        const line = await failedStart(startGateway(cleanup, { [name]: String(port) }));
        expect(line).toContain(`${HOST}:${port} (${name})`);
      }
      await other.post('/v1/signals', signal(1));
      await until('a signal at every client', () => clients.every(({ signals }) => signals.length > 0));
      for (const client of clients) expect(client.disconnects).toEqual([]);
    },
  );

  test('by the process itself, as both of its ports, ends the start too', async () => {
    const port = String(await freePort());
    expect(await failedStart(startGateway(cleanup, { PORT: port, ADMIN_PORT: port }))).toContain(`${HOST}:${port} (`);
  });
});

test('a start without Redis says so once, serves its health, and is ready as soon as Redis comes', async () => {
  const begun = Date.now();
  const redis = await RedisServer.start(cleanup);
  await redis.kill();
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, LOG_LEVEL: 'debug' }, { ready: false });
  const lines = (text: string): number => pod.logs().filter(({ msg }) => String(msg).includes(text)).length;
  // The other connections say at the level "debug" how often they tried.
  await until('a number of tries to connect', () => lines('Redis connection error') >= 12, {
    seen: () => pod.output(),
  });

  const ready = await fetch(`${pod.adminUrl}/readyz`);
  const unreachable = {
    code: 'unreachable',
    reason: expect.stringContaining('ECONNREFUSED'),
    since: expect.any(Number),
  };
  expect([ready.status, await ready.json()]).toEqual([
    503,
    {
      status: 'not ready',
      reasons: ['redis'],
      causes: [
        { aspect: 'read', ...unreachable },
        { aspect: 'append', ...unreachable },
      ],
    },
  ]);
  expect((await fetch(`${pod.adminUrl}/healthz`)).status).toBe(200);
  expect(await pod.metric('gateway_redis_up')).toBe(0);
  const reports = lines('cannot reach Redis');
  expect(reports).toBeGreaterThanOrEqual(1);
  // Once, and again only every minute should this take so long.
  expect(reports).toBeLessThanOrEqual(1 + Math.floor((Date.now() - begun) / 60_000));

  await redis.restart();
  await pod.ready();
  const clients = await clientsOf(pod);
  await redis.client(cleanup).publish('new_signal', JSON.stringify(signal(1)));
  await until('a signal at every client', () => clients.every(({ signals }) => signals.length > 0), {
    seen: () => clients,
  });
  expect(await pod.metric('gateway_redis_up')).toBe(1);
});

/** Options of Node.js that load a file of `support/` first. */
function preloading(name: string): string[] {
  return ['--require', fileURLToPath(new URL(`support/${name}`, import.meta.url))];
}

describe('a uWebSockets.js that cannot load', () => {
  test('because the system refuses the binary ends the start with one line: the reason and what to do', async () => {
    const line = await failedStart(startGateway(cleanup, {}, preloading('uws-can-not-load.cjs')));
    expect(line).toContain('uWebSockets.js');
    expect(line).toContain("version `GLIBC_2.99' not found");
    expect(line).toContain('npm ci');
    expect(line).toContain(`Node.js ${process.versions.node}`);
  });

  test('because no binary is there for this Node.js ends the start with one line: the reason and what to do', async () => {
    const line = await failedStart(startGateway(cleanup, {}, preloading('uws-is-missing.cjs')));
    expect(line).toMatch(/Reason: .*Cannot find module '@uwsjs\/[\w.-]+'$/);
    expect(line).toContain('npm ci');
  });
});

test('an exception that nobody catches ends the process with what it was and what was asked last, and without its secrets', async () => {
  const breaks = "process.once('SIGUSR2', () => { throw new Error('broken on purpose'); })";
  const pod = await Pod.start(cleanup, {}, { nodeArgs: ['--import', `data:text/javascript,${breaks}`] });
  await fetch(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=a-secret`);
  // A line that is still being written when the process ends may come after the last one.
  await until('the refusal to be logged', () => pod.logs().some(({ msg }) => msg === 'refused a client'), {
    seen: () => pod.output(),
  });
  pod.child.process.kill('SIGUSR2');
  expect(await pod.child.exit).toBe(1);
  const last = pod.logs().at(-1);
  expect(last).toMatchObject({
    level: 60,
    msg: 'uncaught exception; the process ends',
    err: { message: 'broken on purpose', stack: expect.stringContaining('at ') as string },
    recentRequests: expect.arrayContaining([
      expect.stringMatching(/^GET \/socket\.io\/\?EIO=4&transport=polling&sid=\.\.\. \(\d+ ms ago\)$/),
    ]) as string[],
  });
  expect(pod.output()).not.toContain('a-secret');
});

test('a log that cannot be written holds nobody up, and ends no process', async () => {
  const [port, adminPort] = [await freePort(), await freePort()];
  const line = `exec ${process.execPath} ${MAIN} > /dev/full`;
  const env = { HOST, ADMIN_HOST: HOST, PORT: String(port), ADMIN_PORT: String(adminPort), DRAIN_DELAY_SECONDS: '0' };
  const child = cleanup.add(new Child('sh', ['-c', line], env), (self) => self.kill());
  await until('the pod to say why', () => child.stderr.includes('Cannot write the log: ENOSPC'));
  const client = await FeedClient.connect(cleanup, `http://${HOST}:${port}`);
  for (let i = 0; i < 100; i++) await fetch(`http://${HOST}:${port}/nothing-${i}`);
  expect((await fetch(`http://${HOST}:${adminPort}/readyz`)).status).toBe(200);
  expect(client.disconnects).toEqual([]);
  expect(child.stderr.match(/Cannot write the log/g)).toHaveLength(1);
  child.process.kill('SIGTERM');
  expect(await child.exit).toBe(0);
});
