import { expect, test } from 'vitest';
import { countsText, faultText, limitText, loadText, number, ratioText } from '../../../bench/report/format.js';
import { drawScenario, drawTable } from '../../../bench/report/table.js';
import { countMarks, gatewayFaults } from '../../../bench/report/verdict.js';
import { fanoutExample, result, row, scenario, table } from './example.js';

const STYLE = { width: 200, colours: false };
const CLEAN = { expected: 100, received: 100, lost: 0, twice: 0, outOfOrder: 0, dropped: 0 };

test('a row shows the median, the ratio to raw and the range of the runs', () => {
  const text = drawTable(table(['p50'], [row('gateway', { p50: 20 }), row('raw', { p50: 10 })]), STYLE);
  expect(text.split('\n')).toEqual([
    '  server          p50 ms   limited by',
    '  gateway   20.00  2.00×         none',
    '             19.40–20.60',
    '  raw       10.00                none',
    '              9.70–10.30',
  ]);
});

test('a marked row starts with ! and says why below the table', () => {
  const marks = ['The runs disagree: p99 by 24 %.'];
  const text = drawTable(table(['p50'], [row('gateway', { p50: 20 }, { marks }), row('raw', { p50: 10 })]), STYLE);
  expect(text).toMatch(/^! gateway /m);
  expect(text).toMatch(/^ {2}raw /m);
  expect(text).toContain('  ! gateway: The runs disagree: p99 by 24 %.');
});

test('a figure that a row does not have is a dash, and without a raw row there are no ratios', () => {
  const text = drawTable(table(['p50', 'p99'], [row('gateway', { p50: 20 })]), STYLE);
  expect(text).toContain('–');
  expect(text).not.toContain('×');
});

test('columns that do not fit go into a block below, with the servers again', () => {
  const wide = drawTable(fanoutExample().tables[0] ?? table([], []), { width: 80, colours: false });
  expect(wide.match(/^ {2}server/gm)?.length).toBeGreaterThan(1);
  expect(Math.max(...wide.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});

test('a scenario has its settings above and its notes below', () => {
  const text = drawScenario(
    scenario('fanout', [], { settings: { clients: 5000 }, notes: ['python is missing.'] }),
    STYLE,
  );
  expect(text).toBe('fanout: What fanout measures\nclients 5,000\n\n  note: python is missing.');
});

function limited(...limits: ('server' | 'generator')[]): string {
  return limitText({ ...row('raw', {}), runs: limits.map((limitedBy) => ({ figures: {}, limitedBy })) });
}

test('what limited a row is counted over its runs', () => {
  expect(limited('server', 'server')).toBe('server');
  expect(limited('server', 'generator', 'server')).toBe('server in 2 of 3, generator in 1 of 3');
  expect(limited()).toBe('');
});

test('the load of a row is that of its busiest run', () => {
  const runs = [
    { figures: {}, load: { server: 0.2, generator: 0.9, machine: 0.5 } },
    { figures: {}, load: { server: 0.4, generator: 0.1, redis: 0.05, machine: 0.5 } },
  ];
  expect(loadText({ ...row('raw', {}), runs })).toBe('server 0.40, generator 0.90, redis 0.05');
});

test('faults of all runs are added up, and a clean row says how many deliveries it had', () => {
  const clean = row('gateway', {}, { run: { counts: CLEAN } });
  expect(countsText(clean)).toBe('all 300');
  const lossy = { ...clean, runs: [...clean.runs, { figures: {}, counts: { ...CLEAN, lost: 2, outOfOrder: 1 } }] };
  expect(faultText(lossy)).toBe('2 lost, 1 out of order');
  expect(countsText(lossy)).toBe('2 lost, 1 out of order');
});

test('only faults of the gateway count as such, and a gateway that finished no run is one', () => {
  const lossy = { run: { counts: { ...CLEAN, twice: 1 } } };
  const of = (server: string): string[] =>
    gatewayFaults(result(scenario('fanout', [table(['p50'], [row(server, {}, lossy)], { point: 'one' })])));
  expect(of('gateway')).toEqual(['fanout, one, gateway: 3 twice.']);
  expect(of('raw')).toEqual([]);
  const broken = { ...row('gateway', {}), runs: [] };
  expect(gatewayFaults(result(scenario('burst', [table([], [broken])])))).toEqual([
    'burst, gateway: no run could be finished.',
  ]);
});

function faultsUnderOverload(counts: Partial<typeof CLEAN>): string[] {
  const rows = [row('gateway', {}, { run: { counts: { ...CLEAN, ...counts } } })];
  return gatewayFaults(result(scenario('saturation', [table(['p50'], rows)], { overloads: true })));
}

test('a server that is overloaded on purpose may be late and cut clients off, and no more', () => {
  expect(faultsUnderOverload({ lost: 5, dropped: 1 })).toEqual([]);
  expect(faultsUnderOverload({ lost: 5, outOfOrder: 1 })).toEqual(['saturation, gateway: 3 out of order.']);
});

test('marked rows are counted', () => {
  expect(countMarks(result(fanoutExample()))).toEqual({ rows: 5, marked: 1 });
});

test('numbers have the digits that they are worth', () => {
  expect(number(0.004, 2)).toBe('<0.01');
  expect(number(0, 2)).toBe('0.00');
  expect(number(1234.5, 1)).toBe('1,234.5');
  expect([1.039, 12.3].map(ratioText)).toEqual(['1.04×', '12×']);
});
