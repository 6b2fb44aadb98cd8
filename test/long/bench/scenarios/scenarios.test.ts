import { expect, test } from 'vitest';
import { FIGURES, type FigureName, type ScenarioResult } from '../../../../bench/result.js';
import type { Progress, Scenario, Settings } from '../../../../bench/scenario.js';
import { attacks } from '../../../../bench/scenarios/attacks.js';
import { comeback } from '../../../../bench/scenarios/comeback.js';
import { compression } from '../../../../bench/scenarios/compression.js';
import { connect } from '../../../../bench/scenarios/connect.js';
import { http } from '../../../../bench/scenarios/http.js';
import { ingest } from '../../../../bench/scenarios/ingest.js';
import { memory } from '../../../../bench/scenarios/memory.js';
import { slow } from '../../../../bench/scenarios/slow.js';

/** Every server and Redis is started anew for each row, which takes its time on a machine with other work. */
const LIMIT_MS = 180_000;

/** Runs a scenario as small as it gets, and checks what holds for every scenario. */
async function run(scenario: Scenario, settings: Settings): Promise<ScenarioResult> {
  const steps = { told: 0, taken: 0 };
  const shares: number[] = [];
  const progress: Progress = {
    steps: (total) => (steps.told += total),
    step: () => steps.taken++,
    within: (share) => shares.push(share),
  };
  const result = await scenario.run({ runs: 1, workers: 1, warmUp: 0, ...settings }, progress);
  expect(result).toMatchObject({ name: scenario.name, title: scenario.title });
  expect(steps.taken).toBe(steps.told);
  expect(shares.length).toBeGreaterThan(0);
  expect(shares.filter((share) => !(share >= 0 && share <= 1))).toEqual([]);
  const rows = result.tables.flatMap((table) => table.rows);
  expect(rows.flatMap(({ marks }) => marks).filter((mark) => mark.includes('failed'))).toEqual([]);
  const counted = rows.flatMap(({ runs }) => runs.flatMap(({ counts }) => counts ?? []));
  expect(counted.filter((counts) => counts.lost + counts.twice + counts.outOfOrder + counts.dropped > 0)).toEqual([]);
  return result;
}

/** The figures of a table's rows, by server; those that have a column and are there. */
function figuresOf({ tables }: ScenarioResult, table = 0): Record<string, Partial<Record<FigureName, number>>> {
  const { rows = [], columns = [] } = tables[table] ?? {};
  const all = Object.keys(FIGURES) as FigureName[];
  expect(all).toEqual(expect.arrayContaining([...columns]));
  return Object.fromEntries(
    rows.map(({ server, figures }) => [
      server,
      Object.fromEntries(columns.flatMap((name) => (figures[name] ? [[name, figures[name].median]] : []))),
    ]),
  );
}

test(
  'connect tells how fast each row lets clients in and what one costs',
  async () => {
    const figures = figuresOf(await run(connect, { clients: 100, against: ['raw', 'stock-ws'] }));
    expect(Object.keys(figures)).toEqual(['gateway', 'raw', 'stock-ws']);
    for (const { connectsPerSecond, cpuPerConnect } of Object.values(figures)) {
      expect(connectsPerSecond).toBeGreaterThan(1);
      expect(cpuPerConnect).toBeGreaterThanOrEqual(0);
    }
  },
  LIMIT_MS,
);

test(
  'memory tells that a client of the gateway takes kilobytes and one of raw next to nothing',
  async () => {
    const { gateway, raw } = figuresOf(await run(memory, { clients: 500, against: ['raw'] }));
    expect(gateway?.heapPerConnection).toBeGreaterThan(2);
    expect(gateway?.heapPerConnection).toBeLessThan(30);
    expect(raw?.heapPerConnection).toBeLessThan(2);
  },
  LIMIT_MS,
);

test(
  'slow tells that slow clients of the gateway stay and miss nothing, and that those of stock-uws miss a part untold',
  async () => {
    // Two slow clients; 12 MB for each.
    const { notes } = await run(slow, { clients: 20, rate: 200, seconds: 3, payload: 15_000, against: ['stock-uws'] });
    const of = (name: string): string => notes.find((note) => note.startsWith(name)) ?? '';
    expect(of('gateway')).toMatch(
      /none of its 2 slow clients was cut off\. Once they read at full speed, they had everything\.$/,
    );
    expect(of('stock-uws')).toMatch(
      /none of its 2 slow clients was cut off\. .* missed [1-9]\d* deliveries, and nothing told them\.$/,
    );
    expect(of('Each client was sent')).toBe('');
  },
  LIMIT_MS,
);

test(
  'http tells the rate and the latency of the publish API, with and without Redis, and of the health check',
  async () => {
    const result = await run(http, { seconds: 1, against: ['raw', 'stock-ws'] });
    expect(result.tables.map(({ point }) => point)).toEqual([
      'POST /v1/signals, journal in Redis',
      'POST /v1/signals, journal in memory',
      'GET /healthz',
    ]);
    for (const table of result.tables.keys()) {
      const figures = figuresOf(result, table);
      expect(Object.keys(figures)).toEqual(['gateway', 'raw']);
      for (const { requestsPerSecond, p50, p99 = 0 } of Object.values(figures)) {
        expect(requestsPerSecond).toBeGreaterThan(10);
        expect(p50).toBeGreaterThan(0);
        expect(p99).toBeGreaterThanOrEqual(p50 ?? Infinity);
      }
    }
    expect(result.notes).toContain('The row "stock-ws" is left out: it cannot do this scenario.');
  },
  LIMIT_MS,
);

test(
  'compression tells what each way of compressing saves and costs',
  async () => {
    const rows = figuresOf(await run(compression, { clients: 20, rate: 20, seconds: 1 }));
    expect(Object.keys(rows)).toEqual(['off', 'shared', 'dedicated']);
    const bytes = Object.values(rows).map(({ bytesPerDelivery = NaN }) => bytesPerDelivery);
    expect(bytes).toEqual(bytes.toSorted((a, b) => b - a));
    for (const { cpuPerDelivery } of Object.values(rows)) expect(cpuPerDelivery).toBeGreaterThan(0);
  },
  LIMIT_MS,
);

test(
  'ingest tells what a journal adds, what a round trip to Redis takes, and what the journal can take',
  async () => {
    const result = await run(ingest, { seconds: 1 });
    const { straight, 'bare-journal': bare, gateway, 'gateway-stream': stream } = figuresOf(result);
    expect(straight?.addedMs).toBeUndefined();
    expect(bare?.addedMs).toBeCloseTo((bare?.p50 ?? NaN) - (straight?.p50 ?? NaN));
    expect(gateway?.addedMs).toBeCloseTo((gateway?.p50 ?? NaN) - (straight?.p50 ?? NaN));
    expect(stream?.addedMs).toBeCloseTo((stream?.p50 ?? NaN) - (straight?.p50 ?? NaN));
    expect(figuresOf(result, 1)['gateway-stream']?.readBackPerSecond).toBeGreaterThan(100);
    expect(figuresOf(result, 1)['gateway']?.appendsPerSecond).toBeGreaterThan(100);
    expect(figuresOf(result, 1)['gateway']?.readBackPerSecond).toBeGreaterThan(100);
    expect(result.notes.join(' ')).toMatch(/\(PING\), measured in the same turns, took \d+\.\d{3} ms/);
  },
  LIMIT_MS,
);

test(
  'comeback tells how long many clients take to have what they missed, beside a quiet phase of the same run',
  async () => {
    const result = await run(comeback, { clients: 150, seconds: 3 });
    const { gateway, quiet } = figuresOf(result);
    expect(gateway?.backSeconds).toBeGreaterThan(0);
    expect(quiet?.backSeconds).toBeUndefined();
    for (const row of [gateway, quiet]) {
      expect(row?.p99).toBeGreaterThan(0);
      expect(row?.loopDelayMax).toBeGreaterThanOrEqual(row?.loopDelayP999 ?? Infinity);
    }
    const [counts] = result.tables[0]?.rows[0]?.runs.flatMap((one) => one.counts ?? []) ?? [];
    // 150 that missed 100, and 2 that missed all, beside what they and the live ones get meanwhile.
    expect(counts?.received).toBeGreaterThan(150 * 100 + 2 * 50_000);
    expect(result.notes.join(' ')).toContain('The many: 150 came back in all runs');
  },
  LIMIT_MS,
);

test(
  'attacks tells what honest clients and producers feel of each attack, beside a quiet phase of the same run',
  async () => {
    const result = await run(attacks, { clients: 10, seconds: 2 });
    expect(result.tables).toHaveLength(4);
    for (const table of result.tables.keys()) {
      const figures = figuresOf(result, table);
      expect(Object.keys(figures)).toEqual(['gateway', 'quiet']);
      for (const { p99, appendP99 } of Object.values(figures)) {
        expect(p99).toBeGreaterThan(0);
        expect(appendP99).toBeGreaterThan(0);
      }
    }
    expect(result.notes.join(' ')).toMatch(/its readers got [1-9]\d*,000 signals and were cut 0 times/);
  },
  LIMIT_MS,
);
