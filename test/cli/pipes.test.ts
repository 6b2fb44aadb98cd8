import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { shell } from '../support/cli.js';
import { FeedClient, MAIN } from '../support/pod.js';
import { type Child, Cleanup, HOST, serverPort } from '../support/processes.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

/** Runs a line of bash in which `&3` is a pipe whose reader has gone. */
function withoutReader(line: string, env: Readonly<Record<string, string>> = {}): Child {
  return shell(cleanup, `exec 3> >(:); wait $!; ${line}`, { MAIN, ...env });
}

async function ended(child: Child): Promise<{ code: number | string; stdout: string; stderr: string }> {
  return { code: await child.exit, stdout: child.stdout, stderr: child.stderr };
}

function fileOf(lines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-pipes-'));
  cleanup.add(folder, (self) => rmSync(self, { recursive: true }));
  const file = join(folder, 'lines.jsonl');
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
  return file;
}

const QUIET = { code: 0, stdout: '', stderr: '' };

/** The bench is a program of its own, whose loader takes seconds. */
const BENCH = 'signal-gateway bench -- --help';

/** What gives help or a version, and ends. */
const HELP = [
  'signal-gateway --help',
  'signal-gateway --version',
  'signal-gateway help publish',
  ...['start', 'publish', 'tail', 'check', 'bench'].map((name) => `signal-gateway ${name} --help`),
  BENCH,
  '"$NODE" "$MAIN" --help',
];

describe('help', () => {
  test.each(HELP)('of "%s" ends quietly with 0 when nobody reads it', async (line) => {
    expect(await ended(withoutReader(`${line} >&3`))).toEqual(QUIET);
    expect(await ended(withoutReader(`${line} >&3 2>&3`))).toEqual(QUIET);
  });

  test.each(HELP.filter((line) => line !== BENCH))(
    'of "%s" ends quietly with 0 when head has its line, or the output is closed',
    async (line) => {
      const { code, stdout, stderr } = await ended(shell(cleanup, `${line} | head -1`, { MAIN }));
      expect([code, stderr, stdout.split('\n').length]).toEqual([0, '', 2]);
      expect(await ended(shell(cleanup, `${line} >&-`, { MAIN }))).toEqual(QUIET);
      expect((await ended(shell(cleanup, `${line} 2>&-`, { MAIN }))).code).toBe(0);
    },
  );

  test('that cannot be written for another reason says so and ends with 1', async () => {
    const { code, stderr } = await ended(shell(cleanup, 'signal-gateway --help > /dev/full'));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^Cannot write: ENOSPC[^\n]*\n$/)]);
  });
});

test.each(['tail --topcs x', 'publsh', 'publish --price', 'start --dem', 'check more', ''])(
  'a wrong command line, "%s", ends quietly with 2 when nobody reads what is wrong',
  async (args) => {
    for (const where of ['2>&3', '2>&3 >&3', '2>&-']) {
      expect(await ended(withoutReader(`signal-gateway ${args} ${where}`))).toEqual({ ...QUIET, code: 2 });
    }
  },
);

describe('check', () => {
  const env = { PORT: '0', ADMIN_PORT: '0', HOST, ADMIN_HOST: HOST };

  test('ends quietly with what it found when nobody reads it', async () => {
    const redis = `redis://${HOST}:${await serverPort()}`;
    for (const line of ['signal-gateway check', 'signal-gateway check --json']) {
      expect(await ended(withoutReader(`${line} >&3`, env))).toEqual(QUIET);
      expect(await ended(withoutReader(`${line} >&3`, { ...env, REDIS_URL: redis }))).toEqual({ ...QUIET, code: 1 });
      expect(await ended(withoutReader(`${line} >&3 2>&3`, { ...env, PORT: 'x' }))).toEqual({ ...QUIET, code: 2 });
      expect(await ended(shell(cleanup, `${line} >&-`, env))).toEqual(QUIET);
    }
  });
});

describe('tail', () => {
  test('ends quietly with 0 at the next message when nobody reads its output', async () => {
    const pod = await shared();
    const children = ['>&3', '>&3 2>&3'].map((where) =>
      withoutReader(`signal-gateway tail ${where}`, { GATEWAY_URL: pod.url }),
    );
    let price = 0;
    await until('both to end', async () => {
      await pod.post('/v1/signals', signal(price++));
      return children.every(({ exited }) => exited);
    });
    const [told, silent] = await Promise.all(children.map(ended));
    expect(told).toEqual({ ...QUIET, stderr: expect.stringMatching(/^connected to [^\n]+\n$/) as string });
    expect(silent).toEqual(QUIET);
  });

  test('continues without a reader of its messages until it has its lines', async () => {
    const pod = await shared();
    const children = ['2>&3', '2>&-'].map((where) =>
      withoutReader(`signal-gateway tail --count 3 ${where}`, { GATEWAY_URL: pod.url }),
    );
    let price = 0;
    await until('both to end', async () => {
      await pod.post('/v1/signals', signal(price++));
      return children.every(({ exited }) => exited);
    });
    for (const child of children) {
      expect([await child.exit, child.stdout.split('\n').length, child.stderr]).toEqual([0, 4, '']);
    }
  });

  test('ends quietly with 1 if there is no gateway and nobody reads why', async () => {
    const url = `http://${HOST}:${await serverPort()}`;
    const line = 'signal-gateway tail --connect-for 0.5 >&3 2>&3';
    expect(await ended(withoutReader(line, { GATEWAY_URL: url }))).toEqual({ ...QUIET, code: 1 });
  });
});

describe('publish', () => {
  const ONE = 'signal-gateway publish --symbol A --signal BUY --price 1';

  test.each(['>&3', '>&3 2>&3', '>&-', '>&- 2>&- <&-'])(
    'publishes its message and ends quietly with 0 when nobody reads its offset: %s',
    async (where) => {
      const pod = await shared();
      const client = await FeedClient.connect(cleanup, pod.url);
      expect(await ended(withoutReader(`${ONE} ${where}`, { ADMIN_URL: pod.adminUrl }))).toEqual(QUIET);
      await until('the signal', () => client.signals.length === 1, { seen: () => client });
    },
  );

  test('publishes every line of its input even if nobody reads its messages, and its exit code is that of the lines', async () => {
    const pod = await shared();
    const good = fileOf(Array.from({ length: 3000 }, (_, i) => JSON.stringify(signal(i))));
    const bad = fileOf(Array.from({ length: 3000 }, (_, i) => (i % 2 === 0 ? JSON.stringify(signal(i)) : 'bad')));
    const env = { ADMIN_URL: pod.adminUrl };
    for (const where of ['>&3 2>&3', '>&- 2>&-']) {
      expect(await ended(withoutReader(`cat ${good} | signal-gateway publish ${where}`, env))).toEqual(QUIET);
      expect(await ended(withoutReader(`signal-gateway publish ${bad} ${where}`, env))).toEqual({ ...QUIET, code: 1 });
    }
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(2 * (3000 + 1500));
  });

  test('says that its offset cannot be written for another reason, and that is an error', async () => {
    const pod = await shared();
    const child = shell(cleanup, `${ONE} > /dev/full`, { ADMIN_URL: pod.adminUrl });
    expect(await ended(child)).toEqual({
      ...QUIET,
      code: 1,
      stderr: expect.stringMatching(/^Cannot write: ENOSPC[^\n]*\n$/) as string,
    });
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(1);
  });

  test('ends quietly with 1 if there is no gateway and nobody reads why', async () => {
    const url = `http://${HOST}:${await serverPort()}`;
    const line = `${ONE} --retry-for 0 2>&3`;
    expect(await ended(withoutReader(line, { ADMIN_URL: url }))).toEqual({ ...QUIET, code: 1 });
  });
});

describe('start', () => {
  test.each([
    ['nobody reads its log', '>&3'],
    ['nobody reads anything', '>&3 2>&3'],
    ['the log has one reader that leaves', '> >(head -1) 2>&3'],
    ['everything is closed', '>&- 2>&- <&-'],
  ])('serves on when %s, and ends with 0 at SIGTERM', async (_, where) => {
    const [port, adminPort] = [await serverPort(), await serverPort()];
    const env = { HOST, ADMIN_HOST: HOST, PORT: String(port), ADMIN_PORT: String(adminPort), DRAIN_DELAY_SECONDS: '0' };
    const child = withoutReader(`exec "$NODE" "$CLI" start ${where}`, env);
    const admin = `http://${HOST}:${adminPort}`;
    const answers = async (path: string): Promise<boolean> => {
      const answer = await fetch(admin + path).catch(() => undefined);
      return answer?.status === 200;
    };
    await until('the gateway to serve', () => answers('/readyz'), { seen: () => [child.stdout, child.stderr] });
    // Each connect is logged, so that there is something to write.
    for (let i = 0; i < 3; i++) (await FeedClient.connect(cleanup, `http://${HOST}:${port}`)).socket.disconnect();
    expect(await answers('/healthz')).toBe(true);
    expect([await child.kill('SIGTERM'), child.stderr.includes('Error')]).toEqual([0, false]);
  });
});
