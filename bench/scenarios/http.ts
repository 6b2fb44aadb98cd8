import autocannon from 'autocannon';
import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { HOST } from '../../test/support/processes.js';
import { signalTexts } from '../load/message.js';
import { RunningServer } from '../load/servers.js';
import type { Run, Table } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { UsageMeter, interleave, loadOf, rowsOf, withServers } from '../harness/harness.js';
import { latencyFigures, limitedBy } from '../harness/summary.js';

const CONNECTIONS = 10;
const WARM_UP_SECONDS = 1;
/** How often it is told how far a run is. */
const LOOK_MS = 200;

/** What is asked of the servers. */
interface Case {
  readonly point: string;
  readonly path: string;
  /** JSON to post; unset for a GET. */
  readonly body?: string;
  readonly redis: boolean;
}

/** What is asked, and for how long. */
interface Plan {
  readonly one: Case;
  readonly seconds: number;
}

function casesOf(payload: number): Case[] {
  const post = { path: '/v1/signals', body: signalTexts(payload)(0, 0) };
  return [
    { point: 'POST /v1/signals, journal in Redis', ...post, redis: true },
    { point: 'POST /v1/signals, journal in memory', ...post, redis: false },
    { point: 'GET /healthz', path: '/healthz', redis: false },
  ];
}

/** How long requests are sent. */
interface Barrage {
  readonly seconds: number;
  /** Called with the time that each request took. */
  readonly onResponse?: (millis: number) => void;
}

/** Sends requests over every connection, one after the other. */
async function fire(
  { adminPort }: RunningServer,
  { path, body }: Case,
  { seconds, onResponse = () => {} }: Barrage,
): Promise<autocannon.Result> {
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: `http://${HOST}:${adminPort}${path}`,
        connections: CONNECTIONS,
        duration: seconds,
        ...(body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body }),
      },
      (error: Error | null, done) => (error === null ? resolve(done) : reject(error)),
    );
    // Its own percentiles are whole milliseconds.
    instance.on('response', (...[, , , millis]) => onResponse(millis));
  });
  const failed = result.non2xx + result.errors;
  if (failed > 0) throw new Error(`${failed} of ${result.requests.sent} requests failed`);
  return result;
}

/** The server that is measured, and the Redis behind it. */
interface Bed {
  readonly server: RunningServer;
  readonly redisPid?: number;
}

async function measureOn({ server, ...redis }: Bed, { one, seconds }: Plan, progress: Progress): Promise<Run> {
  await fire(server, one, { seconds: WARM_UP_SECONDS });
  const latency = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  const meter = new UsageMeter({ servers: [server], ...redis });
  const own = process.cpuUsage();
  const begin = performance.now();
  // Not with every response: there are thousands a second.
  const look = setInterval(() => progress.within(Math.min(1, (performance.now() - begin) / 1000 / seconds)), LOOK_MS);
  let result: autocannon.Result;
  try {
    result = await fire(server, one, {
      seconds,
      onResponse: (millis) => latency.recordValue(Math.max(1, Math.round(millis * 1000))),
    });
  } finally {
    clearInterval(look);
  }
  const usage = meter.end();
  const { user, system } = process.cpuUsage(own);
  const load = loadOf(usage, (user + system) / 1000);
  const encoded = encodeIntoCompressedBase64(latency);
  return {
    figures: {
      requestsPerSecond: result.requests.total / result.duration,
      ...latencyFigures(encoded),
      cpuShare: load.server,
    },
    load,
    limitedBy: limitedBy(load),
    latency: encoded,
  };
}

async function measure(name: ServerName, plan: Plan, progress: Progress): Promise<Run> {
  if (plan.one.redis) {
    return withServers(name, {}, ({ servers: [server], redisPid }) => {
      if (server === undefined) throw new Error('there is no server');
      return measureOn({ server, redisPid }, plan, progress);
    });
  }
  const server = await RunningServer.start(name);
  try {
    return await measureOn({ server }, plan, progress);
  } finally {
    await server.stop();
  }
}

/** What the admin port can do. */
export const http: Scenario = {
  name: 'http',
  title: 'requests per second of the publish API and of the health check',
  async run(settings, progress) {
    const { seconds = 4, runs = 3, payload = 0 } = settings;
    const { names, notes } = rowsOf(settings, ['raw'], ['raw']);
    const cases = casesOf(payload);
    progress.steps(cases.length * names.length * runs);
    const tables: Table[] = [];
    for (const one of cases) {
      const rows = await interleave({
        names,
        runs,
        progress,
        point: one.point,
        measure: (name) => measure(name, { one, seconds }, progress),
      });
      tables.push({ point: one.point, columns: ['requestsPerSecond', 'p50', 'p99', 'cpuShare'], rows });
    }
    return {
      name: http.name,
      title: http.title,
      settings: { connections: CONNECTIONS, 'seconds a run': seconds, runs },
      tables,
      notes: [
        ...notes,
        `Over ${CONNECTIONS} connections, each with one request at a time (autocannon), and without clients. "raw" checks nothing and keeps nothing: with Redis it answers when a bare PUBLISH was taken.`,
      ],
    };
  },
};
