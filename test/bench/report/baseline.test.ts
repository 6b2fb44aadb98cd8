import { expect, test } from 'vitest';
import { comparisonText } from '../../../bench/report/baseline-text.js';
import { type Comparison, compare } from '../../../bench/report/baseline.js';
import type { BenchResult, FigureName, Row } from '../../../bench/result.js';
import { result, row, scenario, table } from './example.js';

type Figures = Partial<Record<FigureName, number>>;

const MARKED = { marks: ['The runs disagree.'] };

function measured(gateway: Figures, raw: Figures, more: Partial<Row> = {}, scale = 1): BenchResult {
  const scaled = (figures: Figures): Figures =>
    Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, value * scale]));
  const columns = Object.keys(gateway) as FigureName[];
  return result(scenario('fanout', [table(columns, [row('gateway', scaled(gateway), more), row('raw', scaled(raw))])]));
}

function failures({ moves }: Comparison): string[] {
  return moves.filter(({ failed }) => failed).map(({ what }) => what);
}

const BEFORE = measured({ p99: 20, deliveriesPerSecond: 900 }, { p99: 10, deliveriesPerSecond: 1000 });

test('the same ratios on a machine that is twice as slow are no move', () => {
  const now = measured({ p99: 20, deliveriesPerSecond: 900 }, { p99: 10, deliveriesPerSecond: 1000 }, {}, 2);
  const comparison = compare(BEFORE, now, 0.3);
  expect(comparison.ok).toBe(true);
  expect(comparison.moves.map(({ worse }) => worse)).toEqual([0, 0]);
  expect(comparisonText(comparison, 0.3)).toContain('2 of 2 figures did not move');
});

test('a ratio that is worse within the tolerance is told and passes', () => {
  const comparison = compare(BEFORE, measured({ p99: 24 }, { p99: 10 }), 0.3);
  expect(comparison.ok).toBe(true);
  expect(comparisonText(comparison, 0.3)).toContain('fanout, p99 to raw: 2.00× → 2.40×, +20 %, worse');
});

test('a ratio past the tolerance fails', () => {
  const comparison = compare(BEFORE, measured({ p99: 30 }, { p99: 10 }), 0.3);
  expect(comparison.ok).toBe(false);
  expect(failures(comparison)).toEqual(['fanout, p99 to raw']);
  expect(comparisonText(comparison, 0.3)).toContain(
    '! fanout, p99 to raw: 2.00× → 3.00×, +50 %, worse  PAST THE TOLERANCE',
  );
});

test('worse is down where more is better, and a rate may halve with a tolerance of 1', () => {
  const now = measured({ deliveriesPerSecond: 460 }, { deliveriesPerSecond: 1000 });
  expect(failures(compare(BEFORE, now, 0.3))).toEqual(['fanout, deliveries to raw']);
  expect(failures(compare(BEFORE, now, 0.9))).toEqual(['fanout, deliveries to raw']);
  expect(failures(compare(BEFORE, now, 1))).toEqual([]);
});

test('a move to the better never fails, however far', () => {
  const comparison = compare(BEFORE, measured({ p99: 1 }, { p99: 10 }), 0);
  expect(comparison.ok).toBe(true);
  expect(comparisonText(comparison, 0)).toContain('2.00× → 0.10×, −95 %, better');
});

test('a move within the range of the runs is noise', () => {
  const wide = { figures: { p99: { median: 30, min: 15, max: 40 } } };
  expect(compare(BEFORE, measured({ p99: 30 }, { p99: 10 }, wide), 0.3).ok).toBe(true);
});

test('a marked row is not judged beside clean ones', () => {
  const other = scenario('burst', [table(['p99'], [row('gateway', { p99: 20 }), row('raw', { p99: 10 })])]);
  const worse = measured({ p99: 90 }, { p99: 10 }, MARKED);
  const comparison = compare(
    { ...BEFORE, scenarios: [...BEFORE.scenarios, other] },
    { ...worse, scenarios: [...worse.scenarios, other] },
    0.3,
  );
  expect(comparison.ok).toBe(true);
  expect(comparison.notes).toContain('Not comparable, since a row is marked: 1 of 2 figures.');
  expect(comparisonText(comparison, 0.3)).toContain('(a row is marked)');
});

test('marked rows are judged if there are no others', () => {
  const comparison = compare(BEFORE, measured({ p99: 90 }, { p99: 10 }, MARKED), 0.3);
  expect(comparison.ok).toBe(false);
  expect(comparison.notes).toContain('Every row is marked, so marked ones are judged too.');
});

test('the maximum, which is one value of a whole run, is not judged', () => {
  const before = measured({ p99: 20, max: 20 }, { p99: 10, max: 10 });
  expect(compare(before, measured({ p99: 20, max: 900 }, { p99: 10, max: 10 }), 0.3).ok).toBe(true);
});

test('other settings are not compared, and to compare nothing is a failure', () => {
  const now = {
    ...BEFORE,
    scenarios: BEFORE.scenarios.map((one) => ({ ...one, settings: { ...one.settings, clients: 5 } })),
  };
  const comparison = compare(BEFORE, now, 0.3);
  expect(comparison.ok).toBe(false);
  expect(comparison.notes).toEqual([
    'fanout: not comparable, the settings differ (clients 1000 → 5).',
    'Nothing could be compared.',
  ]);
});

test('rows, tables and scenarios that one of both has not are told', () => {
  const columns: FigureName[] = ['p99'];
  const both = [row('gateway', { p99: 2 }), row('raw', { p99: 1 })];
  const before = result(
    scenario('a', [table(columns, both, { point: 'old' }), table(columns, both, { point: 'same' })]),
    scenario('b', [table(columns, both)]),
    scenario('c', [table(columns, both)]),
  );
  const now = result(
    scenario('a', [table(columns, both, { point: 'new' }), table(columns, both, { point: 'same' })]),
    scenario('b', [table(columns, both.slice(0, 1))]),
    scenario('c', [table(columns, both.slice(1))]),
    scenario('d', [table(columns, both)]),
  );
  const { moves, notes, ok } = compare(before, now, 0.3);
  expect(ok).toBe(true);
  expect(moves.map(({ what }) => what)).toEqual(['a, same, p99 to raw']);
  expect(notes).toEqual([
    'a, new: not in the baseline.',
    'a, old: only in the baseline.',
    'b: there is no control row that both have.',
    'c: the gateway was not measured in both.',
    'd: not in the baseline.',
  ]);
});

test('without a raw row another control row is compared with', () => {
  const [before, now] = [2, 3].map((p99) =>
    result(scenario('ingest', [table(['p99'], [row('gateway', { p99 }), row('straight', { p99: 1 })])])),
  );
  expect(before && now && compare(before, now, 0.3).moves[0]?.what).toBe('ingest, p99 to straight');
});

test('memory is compared as it is, since a faster machine does not change it', () => {
  const [before, now] = [7, 14].map((heapPerConnection) =>
    result(scenario('memory', [table(['heapPerConnection'], [row('gateway', { heapPerConnection })])])),
  );
  const comparison = compare(before ?? result(), now ?? result(), 0.3);
  expect(comparison.ok).toBe(false);
  expect(comparisonText(comparison, 0.3)).toContain('memory, heap/client: 7.00 KB → 14.00 KB, +100 %, worse');
});

test('another machine is told', () => {
  const now = { ...BEFORE, machine: { ...BEFORE.machine, cores: 64 } };
  expect(compare(BEFORE, now, 0.3).notes[0]).toMatch(/^Another machine/);
});
