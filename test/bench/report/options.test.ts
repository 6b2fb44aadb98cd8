import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Offer, UsageError, readOptions } from '../../../bench/options.js';
import type { Scenario } from '../../../bench/scenario.js';
import { result, scenario } from './example.js';

function named(name: string): Scenario {
  return { name, title: `What ${name} measures`, run: () => Promise.resolve(scenario(name, [])) };
}

const FANOUT = named('fanout');
const MEMORY = named('memory');
const OFFER: Offer = {
  scenarios: [FANOUT, MEMORY],
  picture: [
    { scenario: FANOUT, settings: { clients: 1000, runs: 3 } },
    { scenario: MEMORY, settings: { clients: 500 } },
  ],
  smoke: [{ scenario: FANOUT, settings: { clients: 100 } }],
};

let said = '';
let folder = '';

beforeEach(() => {
  said = '';
  const keep = (text: string | Uint8Array): boolean => {
    said += String(text);
    return true;
  };
  vi.spyOn(process.stderr, 'write').mockImplementation(keep);
  vi.spyOn(process.stdout, 'write').mockImplementation(keep);
  folder = mkdtempSync(join(tmpdir(), 'bench-options-'));
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

/** The exit code of a command line that is wrong. */
function exitCode(...args: string[]): number | undefined {
  try {
    readOptions(args, OFFER);
    return undefined;
  } catch (error) {
    return error instanceof UsageError ? error.exitCode : undefined;
  }
}

test('without options the picture is run', () => {
  expect(readOptions([], OFFER)).toEqual({
    plans: OFFER.picture,
    out: undefined,
    baseline: undefined,
    tolerance: 0.3,
  });
});

test('settings that are given go before those of the picture', () => {
  const { plans } = readOptions(['--clients', '5000'], OFFER);
  expect(plans.map(({ settings }) => settings)).toEqual([{ clients: 5000, runs: 3 }, { clients: 5000 }]);
});

test('a scenario that is asked for by name has its own defaults', () => {
  expect(readOptions(['--scenario', 'memory,fanout'], OFFER).plans).toEqual([
    { scenario: MEMORY, settings: {} },
    { scenario: FANOUT, settings: {} },
  ]);
});

test('every setting reaches the scenario', () => {
  const args =
    '--scenario fanout --clients 5000 --pods 2 --rate 50 --seconds 20 --payload 1000 --topics 500x20 --runs 3 --workers 2 --warm-up 5000 ' +
    '--against raw,stock-ws --out o --samples s --tolerance 1';
  expect(readOptions(args.split(' '), OFFER)).toEqual({
    plans: [
      {
        scenario: FANOUT,
        settings: {
          clients: 5000,
          pods: 2,
          rate: 50,
          seconds: 20,
          payload: 1000,
          warmUp: 5000,
          topics: { symbols: 500, perClient: 20 },
          runs: 3,
          workers: 2,
          against: ['raw', 'stock-ws'],
          samples: 's',
        },
      },
    ],
    out: 'o',
    baseline: undefined,
    tolerance: 1,
  });
});

test('--smoke runs the small settings, and not together with --scenario', () => {
  expect(readOptions(['--smoke'], OFFER).plans).toEqual(OFFER.smoke);
  expect(exitCode('--smoke', '--scenario', 'fanout')).toBe(2);
  expect(said).toContain('--smoke');
});

test('--help names every scenario and every unit, and is no error', () => {
  expect(exitCode('--help')).toBe(0);
  for (const text of ['What memory measures', 'signals published a second', 'in seconds', 'in bytes', 'Exit code']) {
    expect(said).toContain(text);
  }
});

test.each([
  ['--scenario', 'fanout,nonsense', 'fanout, memory'],
  ['--clients', '0', 'a whole number from 1 to 1000000'],
  ['--clients', '1e3', 'a whole number'],
  ['--pods', '65', 'from 1 to 64'],
  ['--rate', '-1', 'a whole number from 1 to 100000'],
  ['--rate', '2.5', 'a whole number'],
  ['--seconds', '1.5', 'a whole number from 1 to 3600'],
  ['--payload', '10', 'from 200 to 1000000'],
  ['--topics', '20x500', 'such as 500x20'],
  ['--topics', '500', 'such as 500x20'],
  ['--runs', '', 'a whole number'],
  ['--workers', 'two', 'from 1 to 64'],
  ['--against', 'raw,nginx', 'gateway, raw, stock-uws, stock-ws, python'],
  ['--out', '', 'the path of a folder'],
  ['--samples', '', 'the path of a folder'],
  ['--baseline', '/nowhere/result.json', 'the result.json of a former run'],
  ['--tolerance', 'none', 'a number from 0 to 100'],
])('%s %s is refused with what it takes', (option, value, takes) => {
  expect(exitCode(`${option}=${value}`)).toBe(2);
  expect(said).toContain(option);
  expect(said).toContain(value);
  expect(said).toContain(takes);
});

test('an option that is not known, and a value without an option, are refused', () => {
  expect(exitCode('--client', '5')).toBe(2);
  expect(exitCode('fanout')).toBe(2);
});

test('the baseline is read before anything runs', () => {
  const file = join(folder, 'result.json');
  writeFileSync(file, JSON.stringify(result()));
  expect(readOptions(['--baseline', file], OFFER).baseline).toEqual(result());
  writeFileSync(file, '{"schema":2}');
  expect(exitCode('--baseline', file)).toBe(2);
  expect(said).toContain('not a result of this bench');
});
