import { afterEach, describe, expect, test } from 'vitest';
import { Certificate } from '../support/certificate.js';
import { cli, shell } from '../support/cli.js';
import { SECRET, claims, secretToken, seconds } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { type Child, Cleanup, HOST, serverPort } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

/** Starts `tail` and waits until it is connected. */
async function tail(
  pod: Pod,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Child> {
  const child = cli(cleanup, ['tail', '--url', pod.url, ...args], env);
  await connected(child);
  return child;
}

async function connected(child: Child): Promise<void> {
  await until('tail to be connected', () => child.stderr.includes('connected to '), {
    seen: () => [child.stdout, child.stderr],
  });
}

function lines(child: Child): string[] {
  return child.stdout.split('\n').slice(0, -1);
}

async function have(child: Child, count: number): Promise<void> {
  await until(`${count} lines`, () => lines(child).length >= count, {
    seen: () => [child.stdout, child.stderr],
    limit: 30_000,
  });
}

interface Line {
  readonly offset: string | null;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

function parsed(child: Child): Line[] {
  return lines(child).map((line) => JSON.parse(line) as Line);
}

describe('what is shown', () => {
  test('is one line a message for people, without colours in a pipe and without commands for the terminal', async () => {
    const pod = await Pod.start(cleanup);
    await pod.post('/v1/status', status('degraded'));
    const child = await tail(pod);
    await pod.post('/v1/signals', [signal(162.5), signal(2, { type: 'A\u001b[2J\u009b2J' })]);
    await have(child, 3);
    const [first, second, third] = lines(child);
    expect(first).toMatch(/^\S+Z {2}degraded {2}SignalMonitorWorker {2}Monitoring market for signals\.$/);
    expect(second).toMatch(/^2023-10-27T10:00:00Z {2}SELL {2}BTC\/USDT {4}1m {10,}162\.5 {2}QUANTUM_CIPHER$/);
    expect(third).toContain('A\ufffd[2J\ufffd2J');
    // eslint-disable-next-line no-control-regex -- there are to be none
    expect(child.stdout + child.stderr).not.toMatch(/[\u001b\u009b]/);
  });

  test('has colours on a terminal, unless NO_COLOR says no', async () => {
    const pod = await Pod.start(cleanup);
    await pod.post('/v1/status', status());
    // Without what says of this very run whether it has colours: where CI is set, Node.js takes a terminal for one without.
    const onTerminal = `script -qec '"$NODE" "$CLI" tail --count 1' /dev/null < /dev/null`;
    const line = (variables: string): string => `env -u CI -u FORCE_COLOR -u NO_COLOR ${variables} ${onTerminal}`;
    const env = { GATEWAY_URL: pod.url, TERM: 'xterm-256color' };
    const [plain, coloured] = [shell(cleanup, line('NO_COLOR=1'), env), shell(cleanup, line(''), env)];
    expect([await plain.exit, await coloured.exit]).toEqual([0, 0]);
    expect(coloured.stdout).toContain('\u001b[32mactive\u001b[39m');
    expect(plain.stdout).toContain('active  SignalMonitorWorker');
    expect(plain.stdout).not.toContain('\u001b');
  });

  test('is with --json what the history has, offsets included; a status from before has none', async () => {
    const pod = await Pod.start(cleanup);
    await pod.post('/v1/status', status('offline'));
    const child = await tail(pod, ['--json', '--count', '3']);
    await pod.post('/v1/signals', signal(1, { extra: [true, null] }));
    await pod.post('/v1/status', status());
    expect([await child.exit, child.stderr.split('\n').length]).toEqual([0, 2]);
    const { entries } = (await (await fetch(`${pod.adminUrl}/v1/signals`)).json()) as { entries: Line[] };
    expect(parsed(child)).toEqual([
      { offset: null, event: 'status_update', data: status('offline') },
      ...entries.slice(1),
    ]);
  });

  test('is with --topics what was asked for', async () => {
    const pod = await shared();
    const child = await tail(pod, ['--json', '--topics', 'ETH/USDT, BTC/USDT@5m', '--count', '3']);
    const symbols = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'];
    for (const timeframe of ['1m', '5m']) {
      await pod.post(
        '/v1/signals',
        symbols.map((symbol) => signal(1, { symbol, timeframe })),
      );
    }
    expect(await child.exit).toBe(0);
    expect(parsed(child).map(({ data }) => `${String(data['symbol'])}@${String(data['timeframe'])}`)).toEqual([
      'ETH/USDT@1m',
      'BTC/USDT@5m',
      'ETH/USDT@5m',
    ]);
  });
});

describe('the end', () => {
  test('comes quietly and with 0 when head has its three lines', async () => {
    const pod = await shared();
    const child = shell(cleanup, 'signal-gateway tail | head -3', { GATEWAY_URL: pod.url });
    await connected(child);
    let price = 0;
    await until('the pipe to end', async () => {
      await pod.post('/v1/signals', signal(price++));
      return child.exited;
    });
    // With "pipefail": that of tail, which is written to after head has gone.
    expect([await child.exit, lines(child).length]).toEqual([0, 3]);
    expect(child.stderr).toMatch(/^connected to [^\n]+\n$/);
  });

  test('comes at Ctrl-C as that of tail -f does', async () => {
    const child = await tail(await shared());
    expect(await child.kill('SIGINT')).toBe('SIGINT');
  });

  test('comes with 1 when there is no gateway for a while', async () => {
    const url = `http://${HOST}:${await serverPort()}`;
    const child = cli(cleanup, ['tail', '--url', url, '--connect-for', '1']);
    expect([await child.exit, child.stdout]).toEqual([1, '']);
    expect(child.stderr).toMatch(/ECONNREFUSED.*signal-gateway start/);
    // Told once, and not at every try.
    expect(child.stderr.match(/trying again/g)).toHaveLength(1);
  });

  test('comes with 1 and what to do when it is another port, or TLS is not what the address says', async () => {
    const { certFile, keyFile } = new Certificate(cleanup, 'localhost');
    const pod = await Pod.start(cleanup, { TLS_CERT: certFile, TLS_KEY: keyFile });
    const cases = [
      [pod.adminUrl, /there is no Socket\.IO \(not_found\)\. Is this the public port of a gateway/],
      [pod.adminUrl.replace('http:', 'https:'), /does not speak TLS\. Use http:\/\/ /],
      [`http://${HOST}:${pod.port}`, /If it speaks TLS, use https:\/\/ /],
      [`https://${HOST}:${pod.port}`, /certificate is not trusted: self-signed certificate\. .*NODE_EXTRA_CA_CERTS/],
    ] as const;
    for (const [url, told] of cases) {
      const child = cli(cleanup, ['tail', '--connect-for', '1', '--url', url]);
      expect([await child.exit, child.stdout]).toEqual([1, '']);
      expect(child.stderr.split('\n').at(-2)).toMatch(told);
    }
  });

  test('comes with 1 and the code when the token or the topics are refused', async () => {
    const pod = await Pod.start(cleanup, { AUTH: 'jwt', JWT_SECRET: SECRET });
    const expired = await secretToken(claims({ exp: seconds() - 60 }));
    const narrow = await secretToken(claims({ topics: ['BTC/USDT'] }));
    const cases = [
      [[], {}, 'token_missing'],
      [['--token', expired], {}, 'token_expired'],
      [['--topics', 'ETH/USDT'], { GATEWAY_TOKEN: narrow }, 'topics_not_allowed'],
    ] as const;
    for (const [args, env, code] of cases) {
      const child = cli(cleanup, ['tail', '--url', pod.url, ...args], env);
      expect([await child.exit, child.stdout]).toEqual([1, '']);
      expect(child.stderr).toContain(`(${code})`);
      expect(child.stderr).not.toMatch(/\n\s+at |ey[JK]/);
    }
    await tail(pod, [], { GATEWAY_TOKEN: narrow });
  });
});

describe('the connection', () => {
  test('is had as soon as a gateway is there, over polling too; until then the reason is told with its code', async () => {
    const port = await serverPort();
    const child = cli(cleanup, ['tail', '--url', `http://${HOST}:${port}`, '--connect-for', '60']);
    await until('the first try', () => child.stderr.includes('trying again'), { seen: () => child.stderr });
    const pod = await Pod.start(cleanup, { PORT: String(port), TRANSPORTS: 'polling', MAX_CONNECTIONS: '1' });
    await connected(child);
    const second = cli(cleanup, ['tail', '--url', pod.url, '--connect-for', '60']);
    await until('the refusal', () => second.stderr.includes('(max_connections)'), { seen: () => second.stderr });
    expect(child.stderr).toContain('ECONNREFUSED');
    expect(second.stdout).toBe('');
  });

  test('that drops is reported, and what was missed is printed: nothing twice, nothing left out', async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, PORT: String(await serverPort()) };
    const other = await Pod.start(cleanup, { REDIS_URL: redis.url });
    const pod = await Pod.start(cleanup, env);
    const child = await tail(pod, ['--json']);
    const client = await FeedClient.connect(cleanup, other.url);
    let price = 0;
    const publish = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await other.post('/v1/signals', signal(price++));
    };
    await publish();
    await have(child, 20);
    await pod.child.kill();
    await until('the drop to be told', () => child.stderr.includes('disconnected: '), { seen: () => child.stderr });
    await publish();
    await Pod.start(cleanup, env);
    await until('the recovery to be told', () => child.stderr.includes('reconnected and recovered'), {
      seen: () => child.stderr,
      limit: 30_000,
    });
    await publish();
    await have(child, 60);
    expect(parsed(child).map(({ data }) => data['price'])).toEqual(Array.from({ length: 60 }, (_, i) => i));
    await until('all at the other client', () => client.signals.length === 60, { seen: () => client });
    expect(parsed(child).map(({ offset }) => offset)).toEqual(client.signals.map(([, offset]) => offset));
  });

  test('that reconnects to a journal that was lost reports the gap', async () => {
    const env = { PORT: String(await serverPort()) };
    const pod = await Pod.start(cleanup, env);
    const child = await tail(pod);
    await pod.post('/v1/signals', signal(1));
    await have(child, 1);
    await pod.child.kill();
    await Pod.start(cleanup, env);
    await until('the gap to be told', () => /gap: .* are lost \(epoch\)/.test(child.stderr), {
      seen: () => child.stderr,
      limit: 30_000,
    });
    // The gateway sends the gap first, and the rest of the greeting after it.
    await until('the reconnect to be told', () => child.stderr.includes('reconnected, but not recovered'), {
      seen: () => child.stderr,
    });
    expect(child.stderr).toMatch(/reconnected, but not recovered/);
  });
});
