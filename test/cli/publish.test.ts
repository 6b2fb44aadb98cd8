import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type Server, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { nested } from '../support/bad-messages.js';
import { headOf, journalOf, pricesAfter } from '../support/journal-pages.js';
import { Certificate } from '../support/certificate.js';
import { CLI, cli, shell } from '../support/cli.js';
import { FeedClient, Pod } from '../support/pod.js';
import { type Child, Cleanup, HOST, serverPort } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** A file of lines, in a folder of its own. */
function fileOf(lines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-publish-'));
  cleanup.add(folder, (self) => rmSync(self, { recursive: true }));
  const file = join(folder, 'lines.jsonl');
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
  return file;
}

function linesOf(count: number): string[] {
  return numbers(count).map((i) => JSON.stringify(signal(i)));
}

/** Most memory that a process had while a child ran, in MiB, as Linux counts it. */
async function peakMemory(pid: string, child: Child): Promise<number> {
  let peak = 0;
  while (!child.exited) {
    try {
      const text = readFileSync(`/proc/${pid}/status`, 'utf8');
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1] ?? 0) / 1024);
    } catch {
      // It has just ended.
    }
    await sleep(20);
  }
  return peak;
}

/** Stands before a publish API and cuts some connections when the answer is there, but not yet handed on. */
class AnswerEater {
  readonly #server: Server;
  answers = 0;
  /** Bytes of the largest body that came. */
  largest = 0;

  private constructor(port: number, isEaten: (answer: number) => boolean, maxBodyBytes: number) {
    this.#server = createServer((incoming, outgoing) => {
      const { method, url: path, headers } = incoming;
      const bytes = Number(headers['content-length']);
      this.largest = Math.max(this.largest, bytes);
      if (bytes > maxBodyBytes) {
        incoming.resume().on('end', () => outgoing.writeHead(413).end('<html>'));
        return;
      }
      const onward = request({ host: HOST, port, method, path, headers, agent: false }, (answer) => {
        this.answers++;
        if (isEaten(this.answers)) incoming.socket.destroy();
        else answer.pipe(outgoing.writeHead(answer.statusCode ?? 0, answer.headers));
      });
      onward.on('error', () => incoming.socket.destroy());
      incoming.pipe(onward);
    });
  }

  /**
   * @param port - that of the publish API
   * @param isEaten - whether nobody gets an answer; they count from 1
   * @param maxBodyBytes - what is longer, in bytes, gets 413 in its own words
   */
  static async open(port: number, isEaten: (answer: number) => boolean, maxBodyBytes = Infinity): Promise<AnswerEater> {
    const eater = cleanup.add(new AnswerEater(port, isEaten, maxBodyBytes), (self) => {
      self.#server.close();
      self.#server.closeAllConnections();
    });
    eater.#server.listen(0, HOST);
    await once(eater.#server, 'listening');
    return eater;
  }

  get url(): string {
    return `http://${HOST}:${(this.#server.address() as AddressInfo).port}`;
  }
}

describe('one message by options', () => {
  test('reaches the clients as the signal that was described, and its offset is printed', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url);
    const args = ['publish', '--url', pod.adminUrl, '--symbol', 'SOL/USDT', '--signal', 'SELL', '--price', '162.5'];
    const child = cli(cleanup, args);
    expect([await child.exit, child.stderr]).toEqual([0, '']);
    await until('the signal', () => client.signals.length > 0, { seen: () => client });
    const [[payload, offset] = []] = client.signals;
    expect(payload).toEqual({
      ...signal(162.5, { type: 'MANUAL', symbol: 'SOL/USDT', signal: 'SELL' }),
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/) as string,
    });
    expect(child.stdout).toBe(`${String(offset)}\n`);
  });

  test('may be a status, and takes address and key from the environment without showing the key', async () => {
    const pod = await Pod.start(cleanup, { API_KEY: 'first-key,second-key' });
    const client = await FeedClient.connect(cleanup, pod.url);
    const args = ['publish', '--status', 'degraded', '--service', 'Worker', '--message', 'Slow.'];
    const refused = cli(cleanup, args, { ADMIN_URL: pod.adminUrl, API_KEY: 'wrong-key' });
    expect([await refused.exit, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toContain('API_KEY');
    const taken = cli(cleanup, args, { ADMIN_URL: pod.adminUrl, API_KEY: 'first-key,second-key' });
    expect([await taken.exit, taken.stderr]).toEqual([0, '']);
    await until('the status', () => client.statuses.length > 0, { seen: () => client });
    expect(client.statuses[0]?.[0]).toEqual({ service: 'Worker', status: 'degraded', message: 'Slow.' });
    expect(refused.stderr + taken.stdout + pod.output()).not.toMatch(/(first|second|wrong)-key/);
  });

  test('fails and says what to do if there is no gateway, or something else listens', async () => {
    const nobody = `http://${HOST}:${await serverPort()}`;
    const args = ['publish', '--status', 'active', '--service', 'A', '--retry-for', '0', '--url'];
    const away = cli(cleanup, [...args, nobody]);
    expect([await away.exit, away.stdout]).toEqual([1, '']);
    expect(away.stderr).toMatch(/ECONNREFUSED.*signal-gateway start/);
    const pod = await shared();
    const wrong = cli(cleanup, [...args, pod.url]);
    expect([await wrong.exit, wrong.stdout]).toEqual([1, '']);
    expect(wrong.stderr).toContain('ADMIN_PORT');
  });

  test('fails and says what to do if TLS does not match the address, and does not claim that it may have published', async () => {
    const { certFile, keyFile } = new Certificate(cleanup, 'localhost');
    const pod = await Pod.start(cleanup, { TLS_CERT: certFile, TLS_KEY: keyFile });
    const args = ['publish', '--status', 'active', '--service', 'A', '--retry-for', '0', '--url'];
    const cases = [
      [pod.adminUrl.replace('http:', 'https:'), /does not speak TLS\. Use http:\/\/ /],
      [`https://${HOST}:${pod.port}`, /certificate is not trusted: self-signed certificate\. .*NODE_EXTRA_CA_CERTS/],
    ] as const;
    for (const [url, told] of cases) {
      const child = cli(cleanup, [...args, url]);
      expect([await child.exit, child.stdout]).toEqual([1, '']);
      expect(child.stderr.split('\n').at(-2)).toMatch(told);
      expect(child.stderr).not.toContain('may have been published');
    }
  });
});

describe('lines', () => {
  // test/long/cli/publish.test.ts does the same with 100,000.
  test('of a file, 10,000 of them on standard input, are all in the journal, in order', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const file = fileOf(linesOf(10_000));
    const child = shell(cleanup, `signal-gateway publish < ${file}`, { ADMIN_URL: pod.adminUrl });
    expect([await child.exit, child.stdout, child.stderr]).toEqual([0, '', '10,000 published.\n']);
    expect(await pricesAfter(pod, begin)).toEqual(numbers(10_000));
  });

  test('that are a lot of text through a pipe take little memory', async () => {
    const pod = await shared({ JOURNAL_MAXLEN: '1000' });
    const file = fileOf(numbers(1000).map((i) => JSON.stringify(signal(i, { note: 'x'.repeat(500) }))));
    const line = `for i in $(seq 50); do cat ${file}; done | exec "$NODE" --max-old-space-size=30 "$CLI" publish`;
    const child = shell(cleanup, `${line} & P=$!; echo $P; wait $P`, { ADMIN_URL: pod.adminUrl });
    const pid = await until('the process id', () => /^\d+\n/.exec(child.stdout)?.[0].trim());
    const peak = await peakMemory(pid, child);
    expect([await child.exit, child.stderr]).toEqual([0, '50,000 published.\n']);
    expect(peak).toBeGreaterThan(20);
    // The lines have 32 MB, the heap may have 30, and needs some for itself.
    expect(peak).toBeLessThan(120);
  }, 120_000);

  test('that are invalid are reported with number and reason, valid ones are published, and the exit code is 1', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const file = fileOf([
      `\ufeff${JSON.stringify(signal(1))}`,
      '{"type":',
      '',
      `${JSON.stringify(signal(2))}\r`,
      JSON.stringify(signal(3, { signal: 'HOLD' })),
      JSON.stringify(status()),
      JSON.stringify(status('active', { status: 'unwell' })),
      // Only the gateway knows its limit.
      JSON.stringify(signal(4, { note: 'x'.repeat(20_000) })),
      '{"type":"A","signal":"BUY","price":12345678901234567890.10,"symbol":"A","timeframe":"1m","timestamp":"2023-10-27T10:00:00Z"}',
      'x'.repeat(2_000_000),
      JSON.stringify(signal(5)),
      JSON.stringify(signal(6)).replace('{', String.raw`{"pr\u0069ce":7,`),
      JSON.stringify(signal(6, { symbol: '\ud83d' })),
      nested(signal(6), 64, ['[', ']']),
      JSON.stringify(status()).replace('"service"', String.raw`"s\u0065rvice"`),
    ]);
    const child = cli(cleanup, ['publish', '--url', pod.adminUrl, file]);
    expect([await child.exit, child.stdout]).toEqual([1, '']);
    const lines = child.stderr.trimEnd().split('\n');
    expect(lines.pop()).toBe('6 published, 8 not.');
    const named = lines.map((line) =>
      line.replace(/^(line \d+): .*?(not JSON|"\w+"|bytes|longer).*; (not published)$/, '$1 $2 $3'),
    );
    expect(named.toSorted()).toEqual([
      'line 10 longer not published',
      'line 12 "price" not published',
      'line 13 "symbol" not published',
      'line 14 "deep" not published',
      'line 2 not JSON not published',
      'line 5 "signal" not published',
      'line 7 "status" not published',
      'line 8 bytes not published',
    ]);
    const entries = await journalOf(pod, begin);
    expect(entries.map(({ event, data }) => data['price'] ?? event)).toEqual([
      1,
      2,
      'status_update',
      12345678901234567000,
      5,
      'status_update',
    ]);
    // As it came: a double cannot hold it.
    const text = await (await fetch(`${pod.adminUrl}/v1/signals?after=${begin}`)).text();
    expect(text).toContain('12345678901234567890.10');
  });

  test('that come one by one are published at once, and Ctrl-C says what is done', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url);
    const child = cleanup.add(spawn(process.execPath, [CLI, 'publish', '-', '--url', pod.adminUrl]), (self) =>
      self.kill(),
    );
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    for (const price of [1, 2]) {
      child.stdin.write(`${JSON.stringify(signal(price))}\n`);
      await until('the signal', () => client.signals.length === price, { seen: () => [client, stderr] });
    }
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([130, null]);
    expect(stderr).toBe('Interrupted. 2 published. Everything up to line 2 is done; continue from line 3.\n');
  });

  test('are all published even if nobody reads the errors about the bad ones', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const file = fileOf(numbers(5000).flatMap((i) => [JSON.stringify(signal(i)), 'bad']));
    const child = shell(cleanup, `signal-gateway publish ${file} 2>&1 | head -1`, { ADMIN_URL: pod.adminUrl });
    expect([await child.exit, child.stdout]).toEqual([1, expect.stringMatching(/^line 2: [^\n]+\n$/)]);
    expect(await pricesAfter(pod, begin)).toEqual(numbers(5000));
  });

  test('show a progress bar on a terminal', async () => {
    const pod = await shared({ JOURNAL_MAXLEN: '1000' });
    const file = fileOf(linesOf(30_000));
    const child = shell(cleanup, `script -qec '"$NODE" "$CLI" publish < ${file}' /dev/null < /dev/null`, {
      ADMIN_URL: pod.adminUrl,
    });
    expect(await child.exit).toBe(0);
    expect(child.stdout).toMatch(/█+░* +\d+ % +[\d,]+ published, [\d,]+\/s/);
    expect(child.stdout.trimEnd()).toMatch(/30,000 published\.$/);
  });

  test('of an empty input are none, and a missing file is an error', async () => {
    const pod = await shared();
    const empty = cli(cleanup, ['publish', '--url', pod.adminUrl]);
    expect([await empty.exit, empty.stderr]).toEqual([0, '0 published.\n']);
    const missing = cli(cleanup, ['publish', '--url', pod.adminUrl, '/no/such/file']);
    expect(await missing.exit).toBe(1);
    expect(missing.stderr).toContain('/no/such/file');
  });

  test('of a file that is there and cannot be opened are an error without a stack trace, also with --redis', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-publish-'));
    cleanup.add(folder, (self) => rmSync(self, { recursive: true }));
    // It has a name like a file; nobody can open it, not even root.
    const file = join(folder, 'socket');
    const server = cleanup.add(createServer().listen(file), (self) => self.close());
    await once(server, 'listening');
    for (const where of [[], ['--redis', `redis://${HOST}:${await serverPort()}`]]) {
      const child = cli(cleanup, ['publish', ...where, file]);
      expect([await child.exit, child.stdout]).toEqual([1, '']);
      expect(child.stderr).toMatch(/^Cannot read .*socket: ENXIO[^\n]*\n$/);
    }
    for (const folders of [`signal-gateway publish ${folder}`, `signal-gateway publish < ${folder}`]) {
      const child = shell(cleanup, folders);
      expect([await child.exit, child.stdout]).toEqual([1, '']);
      expect(child.stderr).toMatch(/^Cannot read .+: it is a folder\. Give a file [^\n]*\n$/);
    }
  });
});

describe('a gateway that is away for a moment', () => {
  test('because it starts later gets every line once', async () => {
    const ports = { PORT: String(await serverPort()), ADMIN_PORT: String(await serverPort()) };
    const child = cli(cleanup, ['publish', '--url', `http://${HOST}:${ports.ADMIN_PORT}`, fileOf(linesOf(2500))]);
    await until('the notice', () => child.stderr.includes('Trying for'), { seen: () => child.stderr });
    const pod = await Pod.start(cleanup, ports);
    expect(await child.exit).toBe(0);
    expect(child.stderr).toMatch(
      /^The gateway at .* ECONNREFUSED.*\nThe gateway answers again\.\n2,500 published\.\n$/,
    );
    // A pod in memory begins with nothing, so the oldest entries are all there are.
    const { next } = (await (await fetch(`${pod.adminUrl}/v1/signals?limit=1`)).json()) as { next: string };
    const [epoch] = next.split(':');
    expect(await pricesAfter(pod, `${epoch}:0`)).toEqual(numbers(2500));
  });

  test('because the connection breaks after a request arrived, before its answer, has every line once', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const eater = await AnswerEater.open(pod.adminPort, (answer) => [1, 3, 4].includes(answer));
    const child = cli(cleanup, ['publish', '--url', eater.url, fileOf(linesOf(5500))]);
    expect([await child.exit, child.stdout]).toEqual([0, '']);
    expect(child.stderr).toContain('5,500 published.');
    // Six batches, and three of them a second time.
    expect(eater.answers).toBe(9);
    expect(await pricesAfter(pod, begin)).toEqual(numbers(5500));
  });

  test('because it is killed and started again in between, with Redis, has every line once', async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, PORT: String(await serverPort()), ADMIN_PORT: String(await serverPort()) };
    const first = await Pod.start(cleanup, env);
    const begin = await headOf(first);
    const firstSeq = await first.metric('gateway_journal_seq');
    const all = linesOf(25_000);
    const [before, after] = [fileOf(all.slice(0, 20_000)), fileOf(all.slice(20_000))];
    const killed = `${after}.now`;
    const lines = `cat ${before}; until [ -e ${killed} ]; do sleep 0.05; done; cat ${after}`;
    const child = shell(cleanup, `{ ${lines}; } | signal-gateway publish --retry-for 60`, {
      ADMIN_URL: first.adminUrl,
    });
    await until('some of it', async () => (await first.metric('gateway_journal_seq')) > firstSeq + 3000, {
      seen: () => child.stderr,
    });
    await first.child.kill();
    writeFileSync(killed, '');
    const second = await Pod.start(cleanup, env);
    expect(await child.exit).toBe(0);
    expect(child.stderr).toContain('25,000 published.');
    expect(child.stderr).toContain('The gateway answers again.');
    await second.ready();
    expect(await pricesAfter(second, begin)).toEqual(numbers(25_000));
  });

  test('for too long makes it fail, and say from which line to continue', async () => {
    const url = `http://${HOST}:${await serverPort()}`;
    const child = cli(cleanup, ['publish', '--url', url, '--retry-for', '1', fileOf(linesOf(3))]);
    expect([await child.exit, child.stdout]).toEqual([1, '']);
    expect(child.stderr).toContain('continue from line 1');
  });
});

describe('a proxy that takes only small bodies', () => {
  test('gets the lines in parts that it accepts, and a line that is too long for it is reported', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const proxy = await AnswerEater.open(pod.adminPort, () => false, 10_000);
    const file = fileOf([...linesOf(700), JSON.stringify(signal(700, { note: 'x'.repeat(11_000) })), ...linesOf(1)]);
    const child = cli(cleanup, ['publish', '--url', proxy.url, file]);
    expect([await child.exit, child.stdout]).toEqual([1, '']);
    expect(child.stderr).toMatch(/^line 701: .*413; not published\n701 published, 1 not\.\n$/);
    expect(await pricesAfter(pod, begin)).toEqual([...numbers(700), 0]);
  });

  test('and is lost after half of a part: that half is counted', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const proxy = await AnswerEater.open(pod.adminPort, (answer) => answer > 1, 100_000);
    const file = fileOf(linesOf(1000));
    const child = cli(cleanup, ['publish', '--retry-for', '0', '--url', proxy.url, file]);
    expect([await child.exit, child.stdout]).toEqual([1, '']);
    expect(child.stderr).toContain(
      '500 published. Everything up to line 500 is done; lines 501 to 1000 may have been published, and nothing after.',
    );
    expect(await pricesAfter(pod, begin)).toEqual(numbers(1000));
  });
});

test('a request has up to 1 MiB, counted in bytes', async () => {
  const pod = await shared();
  const begin = await headOf(pod);
  const proxy = await AnswerEater.open(pod.adminPort, () => false);
  const file = fileOf(numbers(1500).map((i) => JSON.stringify(signal(i, { note: 'é'.repeat(700) }))));
  const child = cli(cleanup, ['publish', '--url', proxy.url, file]);
  expect([await child.exit, child.stderr]).toEqual([0, '1,500 published.\n']);
  expect(proxy.largest).toBeGreaterThan(100_000);
  expect(proxy.largest).toBeLessThanOrEqual(1024 * 1024 + 2);
  expect(await pricesAfter(pod, begin)).toEqual(numbers(1500));
});

describe('an answer that is lost for good', () => {
  test('makes it say which lines may have been published, and with --idempotency-key a rerun publishes none twice', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const eater = await AnswerEater.open(pod.adminPort, (answer) => answer > 1);
    const file = fileOf([...linesOf(1500), 'bad', ...numbers(1000).map((i) => JSON.stringify(signal(1500 + i)))]);
    const args = ['publish', '-', '--retry-for', '0', '--idempotency-key', 'signals of today', '--url'];
    // In two pieces, with time between them: where a part ends must not depend on it.
    const pieces = `{ head -n 700 ${file}; sleep 0.5; tail -n +701 ${file}; }`;
    const line = `${pieces} | signal-gateway ${args.map((arg) => `'${arg}'`).join(' ')} ${eater.url}`;
    const first = shell(cleanup, line);
    expect([await first.exit, first.stdout]).toEqual([1, '']);
    expect(first.stderr).toContain('1,000 published, 1 not. Everything up to line 1000 is done;');
    expect(first.stderr).toContain(
      'lines 1001 to 2001 may have been published, and nothing after. If you run this again',
    );
    const again = cli(cleanup, [...args.with(1, file), pod.adminUrl]);
    expect([await again.exit, again.stdout]).toEqual([1, '']);
    expect(again.stderr).toContain('2,500 published, 1 not.');
    expect(await pricesAfter(pod, begin)).toEqual(numbers(2500));
  });

  test('to one message makes it say so, and with --idempotency-key a rerun publishes nothing twice', async () => {
    const pod = await shared();
    const begin = await headOf(pod);
    const eater = await AnswerEater.open(pod.adminPort, () => true);
    const args = ['publish', '--status', 'active', '--service', 'A', '--retry-for', '0', '--url'];
    const unnamed = cli(cleanup, [...args, eater.url]);
    expect([await unnamed.exit, unnamed.stdout]).toEqual([1, '']);
    expect(unnamed.stderr).toMatch(/may have been published\. .*--idempotency-key/);
    const named = [...args.with(4, 'B'), eater.url, '--idempotency-key', 'b-is-active'];
    const lost = cli(cleanup, named);
    expect([await lost.exit, lost.stdout]).toEqual([1, '']);
    expect(lost.stderr).toContain('nothing is published twice');
    const found = cli(cleanup, named.with(8, pod.adminUrl));
    expect([await found.exit, found.stderr]).toEqual([0, '']);
    const entries = await journalOf(pod, begin);
    expect(entries.map(({ data }) => data['service'])).toEqual(['A', 'B']);
    expect(found.stdout).toBe(`${entries[1]?.offset}\n`);
  });
});

describe('--redis', () => {
  test('publishes one message or many lines through the channels', async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, SIGNAL_CHANNEL: 'my signals' };
    const pod = await Pod.start(cleanup, env);
    const client = await FeedClient.connect(cleanup, pod.url);
    const one = cli(cleanup, ['publish', '--redis', '--status', 'active', '--service', 'A'], env);
    expect([await one.exit, one.stdout, one.stderr]).toEqual([0, '', '']);
    const many = cli(cleanup, ['publish', '--redis', redis.url, fileOf(linesOf(3000))], env);
    expect([await many.exit, many.stderr]).toEqual([0, '3,000 published.\n']);
    await until('all of it', () => client.signals.length === 3000 && client.statuses.length === 1, {
      seen: () => client,
    });
    expect(client.signals.map(([payload]) => (payload as { price: number }).price)).toEqual(numbers(3000));
  });

  test('fails where nobody listens, and where there is no Redis, without showing the password', async () => {
    const redis = await RedisServer.start(cleanup);
    const message = ['--status', 'active', '--service', 'A'];
    const unheard = cli(cleanup, ['publish', '--redis', redis.url, ...message]);
    expect([await unheard.exit, unheard.stdout]).toEqual([1, '']);
    expect(unheard.stderr).toContain('Nobody listens to status_update');
    const port = await serverPort();
    const away = cli(cleanup, ['publish', '--redis', `redis://user:secret-word@${HOST}:${port}`, ...message]);
    expect([await away.exit, away.stdout]).toEqual([1, '']);
    expect(away.stderr).toContain(`redis://${HOST}:${port}`);
    expect(away.stderr).toContain('ECONNREFUSED');
    expect(away.stderr).not.toContain('secret-word');
  });
});

describe('--stream', () => {
  test('adds one message or many lines to the streams of a gateway, which carries them once', async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, SIGNAL_STREAM: 'signals', STATUS_STREAM: 'statuses' };
    const one = cli(cleanup, ['publish', '--stream', '--status', 'active', '--service', 'A'], env);
    expect([await one.exit, one.stderr]).toEqual([
      0,
      'Added to statuses; a gateway with STATUS_STREAM=statuses carries it.\n',
    ]);
    expect(one.stdout).toMatch(/^\d+-\d+\n$/);
    // What was added before there was a gateway is carried too.
    const pod = await Pod.start(cleanup, env);
    const many = cli(cleanup, ['publish', '--redis', redis.url, '--stream', 'signals', fileOf(linesOf(3000))]);
    expect([await many.exit, many.stdout, many.stderr]).toEqual([
      0,
      '',
      '3,000 published.\nAdded to signals; a gateway with SIGNAL_STREAM=signals carries it.\n',
    ]);
    await until(
      'all of it',
      async () => (await pod.metric('gateway_messages_accepted_total', { source: 'stream' })) >= 3001,
    );
    expect(await redis.client(cleanup).xlen('{gateway}:journal')).toBe(3001);
  });

  test('keeps signals and statuses apart where one stream is named, and adds nothing to a key that holds something else', async () => {
    const redis = await RedisServer.start(cleanup);
    const lines = [...linesOf(2), JSON.stringify({ service: 'A', status: 'active', message: '' })];
    const mixed = cli(cleanup, ['publish', '--redis', redis.url, '--stream', 'signals', fileOf(lines)]);
    expect(await mixed.exit).toBe(1);
    expect(mixed.stderr).toContain('line 3: STATUS_STREAM is not set');
    const admin = redis.client(cleanup);
    expect(await admin.xlen('signals')).toBe(2);
    await admin.set('other', 'a string');
    const wrong = cli(cleanup, ['publish', '--redis', redis.url, '--stream', 'other', fileOf(linesOf(3))]);
    expect(await wrong.exit).toBe(1);
    expect(wrong.stderr).toContain('WRONGTYPE');
    expect(wrong.stderr).not.toContain('may have been published');
  });

  test('needs an address and a name, and takes no key', async () => {
    const message = ['--status', 'active', '--service', 'A'];
    const bare = { REDIS_URL: '', SIGNAL_STREAM: '', STATUS_STREAM: '' };
    const cases: [string[], Record<string, string>, string][] = [
      [['--stream', 'x'], bare, 'REDIS_URL'],
      [['--stream'], { ...bare, REDIS_URL: `redis://${HOST}:1` }, 'SIGNAL_STREAM'],
      [['--stream', 'x', '--idempotency-key', 'k'], { ...bare, REDIS_URL: `redis://${HOST}:1` }, 'XADD'],
    ];
    for (const [options, env, text] of cases) {
      const run = cli(cleanup, ['publish', ...options, ...message], env);
      expect(await run.exit).toBe(2);
      expect(run.stderr).toContain(text);
    }
  });
});
