import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { type Histogram, decodeFromCompressedBase64 } from 'hdr-histogram-js';
import type { ClientsMessage, ClientsTask } from './load/clients.js';
import { ingest } from './scenarios/ingest.js';
import { nowMicros, signalText } from './load/message.js';
import { RunningServer } from './load/servers.js';
import type { Row } from './result.js';
import type { ServerName } from './scenario.js';

const CLIENTS = fileURLToPath(new URL('load/clients.ts', import.meta.url));
const CONNECT_LIMIT_MS = 60_000;
/** After the last signal: what is not there by then is lost. */
const SETTLE_LIMIT_MS = 5000;

interface Options {
  readonly clients: number;
  readonly rate: number;
  readonly seconds: number;
  readonly runs: number;
  readonly workers: number;
}

interface FanoutResult {
  readonly server: ServerName;
  readonly latency: Histogram;
  readonly received: number;
  readonly lost: number;
  readonly twice: number;
  readonly outOfOrder: number;
  readonly cpuMillis: number | undefined;
}

type Report = Extract<ClientsMessage, { kind: 'report' }>;

function readOptions(): { scenario: string; options: Options } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      clients: { type: 'string', default: '1000' },
      rate: { type: 'string', default: '25' },
      seconds: { type: 'string', default: '8' },
      runs: { type: 'string', default: '2' },
      workers: { type: 'string', default: '1' },
    },
  });
  const numbers = Object.entries(values).map(([name, text]) => {
    if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`--${name} takes a whole number of 1 or more; got "${text}".`);
    return [name, Number(text)];
  });
  const [scenario = 'all'] = positionals;
  if (!['all', 'fanout', 'http', 'ingest'].includes(scenario))
    throw new Error(`The scenarios are fanout, http and ingest, not "${scenario}".`);
  return { scenario, options: Object.fromEntries(numbers) as Options };
}

/** Waits for a message of a kind from every worker; a worker that breaks or ends ends the whole run. */
function fromAll<K extends ClientsMessage['kind']>(
  workers: readonly ChildProcess[],
  kind: K,
): Promise<Extract<ClientsMessage, { kind: K }>[]> {
  return Promise.all(
    workers.map(
      (worker) =>
        new Promise<Extract<ClientsMessage, { kind: K }>>((resolve, reject) => {
          worker.once('exit', (code) => reject(new Error(`a process of clients ended with ${code}`)));
          worker.on('message', (message: ClientsMessage) => {
            if (message.kind === 'broken') reject(new Error(message.reason));
            if (message.kind === kind) resolve(message as Extract<ClientsMessage, { kind: K }>);
          });
        }),
    ),
  );
}

async function within<T>(limit: number, what: string, promise: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const late = sleep(limit, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`waited ${limit} ms for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
    late.catch(() => {});
  }
}

/**
 * Publishes signals at a fixed rate, one request at a time, so that their order is known. A signal that has to wait keeps
 * the time at which it was due: a server that stalls does not make its own figures better.
 */
async function publish(url: string, signals: number, rate: number): Promise<void> {
  const start = nowMicros() + 10_000;
  for (let n = 0; n < signals; n++) {
    const due = start + Math.round((n * 1e6) / rate);
    // A timer fires up to a millisecond late, which would count as latency: the last stretch goes turn by turn.
    const wait = (due - nowMicros()) / 1000 - 2;
    if (wait > 0) await sleep(wait);
    while (nowMicros() < due) await setImmediate();
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: signalText(n, due),
    });
    if (response.status !== 202) throw new Error(`publishing was answered with ${response.status}`);
    await response.arrayBuffer();
  }
}

async function fanout(name: ServerName, { clients, rate, seconds, workers: count }: Options): Promise<FanoutResult> {
  const server = await RunningServer.start(name);
  const workers = Array.from({ length: count }, () => fork(CLIENTS));
  try {
    const signals = rate * (seconds + 1);
    const connected = fromAll(workers, 'connected');
    for (const [i, worker] of workers.entries()) {
      const share = Math.floor(clients / count) + (i < clients % count ? 1 : 0);
      worker.send({ port: server.port, clients: share, signals, warmUp: rate } satisfies ClientsTask);
    }
    await within(CONNECT_LIMIT_MS, 'all clients to connect', connected);
    const cpuBefore = server.cpuMillis();
    const complete = fromAll(workers, 'complete');
    await Promise.race([
      publish(server.publishUrl, signals, rate),
      // A lost connection ends the run at once; a run that is complete is still to be published to its end.
      complete.then(() => new Promise<never>(() => {})),
    ]);
    // Signals that were lost show in the report.
    await Promise.race([complete, sleep(SETTLE_LIMIT_MS)]);
    const cpuAfter = server.cpuMillis();
    const reporting = fromAll(workers, 'report');
    for (const worker of workers) worker.send('report');
    const reports: Report[] = await within(SETTLE_LIMIT_MS, 'the reports', reporting);
    const [first, ...others] = reports.map(({ histogram }) => decodeFromCompressedBase64(histogram));
    if (first === undefined) throw new Error('there is no report');
    for (const other of others) first.add(other);
    const sum = (key: 'received' | 'lost' | 'twice' | 'outOfOrder'): number =>
      reports.reduce((total, report) => total + report[key], 0);
    return {
      server: name,
      latency: first,
      received: sum('received'),
      lost: sum('lost'),
      twice: sum('twice'),
      outOfOrder: sum('outOfOrder'),
      cpuMillis: cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore,
    };
  } finally {
    const ends = workers.filter((worker) => worker.exitCode === null).map((worker) => once(worker, 'exit'));
    for (const worker of workers) worker.kill('SIGKILL');
    await Promise.all(ends);
    await server.stop();
  }
}

function millis(micros: number): number {
  return Math.round(micros / 10) / 100;
}

function fanoutRow(result: FanoutResult): Record<string, unknown> {
  const { latency, cpuMillis, received } = result;
  return {
    server: result.server,
    'p50 ms': millis(latency.getValueAtPercentile(50)),
    'p99 ms': millis(latency.getValueAtPercentile(99)),
    'max ms': millis(latency.maxValue),
    'CPU µs/delivery': cpuMillis === undefined ? '?' : Math.round((cpuMillis * 10_000) / received) / 10,
    deliveries: received,
    lost: result.lost,
    twice: result.twice,
    'out of order': result.outOfOrder,
  };
}

async function fanoutScenario(options: Options): Promise<boolean> {
  const { clients, rate, seconds, runs } = options;
  console.log(`\nfan-out: ${clients} clients, ${rate} signals/s, ${seconds} s a run after 1 s of warm-up`);
  const results: FanoutResult[] = [];
  for (let i = 0; i < runs; i++) {
    for (const name of ['raw', 'gateway'] as const) results.push(await fanout(name, options));
  }
  console.table(results.map(fanoutRow));
  // Histograms are merged; percentiles are never averaged.
  const merged = (['raw', 'gateway'] as const).map((name) => {
    const [first, ...others] = results.filter(({ server }) => server === name).map(({ latency }) => latency);
    if (first === undefined) throw new Error(`there is no run of ${name}`);
    for (const other of others) first.add(other);
    return first;
  });
  const ratio = (percentile: number): string => {
    const [raw = NaN, gateway = NaN] = merged.map((latency) => latency.getValueAtPercentile(percentile));
    return `${millis(gateway)} / ${millis(raw)} ms = ${(gateway / raw).toFixed(2)}`;
  };
  console.log(`gateway / raw, runs merged: p50 ${ratio(50)}, p99 ${ratio(99)}, max ${ratio(100)}`);
  return results.every(({ lost, twice, outOfOrder }) => lost + twice + outOfOrder === 0);
}

async function httpScenario({ seconds, runs }: Options): Promise<boolean> {
  console.log(`\nhttp: POST /v1/signals, 10 connections, ${seconds} s a run, no clients`);
  const rows: Record<string, unknown>[] = [];
  let good = true;
  for (let i = 0; i < runs; i++) {
    for (const name of ['raw', 'gateway'] as const) {
      const server = await RunningServer.start(name);
      try {
        const result = await autocannon({
          url: server.publishUrl,
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: signalText(0, 0),
          connections: 10,
          duration: seconds,
        });
        rows.push({
          server: name,
          'requests/s': Math.round(result.requests.average),
          'p50 ms': result.latency.p50,
          'p99 ms': result.latency.p99,
          'max ms': result.latency.max,
          'not 2xx': result.non2xx,
          errors: result.errors,
        });
        good = good && result.non2xx + result.errors === 0;
      } finally {
        await server.stop();
      }
    }
  }
  console.table(rows);
  return good;
}

function medians(figures: Row['figures']): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, { median }]) => [name, median]));
}

const { scenario, options } = readOptions();
execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
console.log(`Node.js ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`);
let good = true;
if (['all', 'fanout'].includes(scenario)) good = (await fanoutScenario(options)) && good;
if (['all', 'http'].includes(scenario))
  good = (await httpScenario({ ...options, seconds: Math.min(options.seconds, 4) })) && good;
if (['all', 'ingest'].includes(scenario)) {
  const progress = { steps: () => {}, step: (what: string) => console.log(`ingest: ${what}`), within: () => {} };
  const { tables, notes } = await ingest.run({ seconds: options.seconds, runs: 1 }, progress);
  for (const { point, rows } of tables) {
    console.log(point);
    console.table(rows.map(({ server, figures, marks }) => ({ server, ...medians(figures), marks: marks.length })));
  }
  for (const note of notes) console.log(note);
}
if (!good) {
  console.error('Something was lost, came twice, came out of order, or failed.');
  process.exitCode = 1;
}
