import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { unavailable } from '../../../bench/load/programs.js';
import { UsageMeter, interleave, loadOf, rowsOf, withServers } from '../../../bench/harness/harness.js';
import type { Progress } from '../../../bench/scenario.js';
import { until } from '../../support/until.js';

function recording(): Progress & { readonly said: string[] } {
  const said: string[] = [];
  return { said, steps: () => {}, step: (what) => said.push(what), within: () => {} };
}

describe('runs of compared rows', () => {
  test('are interleaved, and each says what it is', async () => {
    const progress = recording();
    const rows = await interleave({
      names: ['a', 'b'],
      runs: 2,
      progress,
      point: '25 signals/s',
      measure: (name, run) => Promise.resolve({ figures: { p50: name === 'a' ? run : 10 * run } }),
    });
    expect(progress.said).toEqual([
      '25 signals/s, a, run 1 of 2',
      '25 signals/s, b, run 1 of 2',
      '25 signals/s, a, run 2 of 2',
      '25 signals/s, b, run 2 of 2',
    ]);
    expect(rows.map(({ server, figures }) => [server, figures.p50?.median])).toEqual([
      ['a', 1.5],
      ['b', 15],
    ]);
  });

  test('go on when one of them fails, which marks its row', async () => {
    const [bad, good] = await interleave({
      names: ['bad', 'good'],
      runs: 3,
      progress: recording(),
      measure: (name, run) =>
        name === 'bad' && run === 2
          ? Promise.reject(new Error('a client was refused.\nmore'))
          : Promise.resolve({ figures: { p50: 1 } }),
    });
    expect(bad?.runs).toHaveLength(2);
    expect(bad?.marks).toContain('Run 2 failed: a client was refused.');
    expect(good?.marks).toEqual([]);
  });
});

describe('the rows of a scenario', () => {
  test('are the gateway and what it is compared with by default', () => {
    expect(rowsOf({}, ['raw', 'stock-uws'], ['raw'])).toEqual({ names: ['gateway', 'raw'], notes: [] });
  });

  test('are those asked for, without those that cannot do it, which the output says', () => {
    expect(rowsOf({ against: ['gateway', 'stock-ws', 'raw', 'raw'] }, ['raw'], [])).toEqual({
      names: ['gateway', 'raw'],
      notes: ['The row "stock-ws" is left out: it cannot do this scenario.'],
    });
  });

  test('leave out what is not installed, with what to install', () => {
    const missing = unavailable('python');
    const expected =
      missing === undefined ? { names: ['gateway', 'python'], notes: [] } : { names: ['gateway'], notes: [missing] };
    expect(rowsOf({ against: ['python'] }, ['python'], [])).toEqual(expected);
  });
});

describe('servers for a run', () => {
  test('are all gone afterwards, even if the run throws, and so is Redis', async () => {
    const pids: number[] = [];
    const run = withServers('gateway', { pods: 2 }, ({ servers, redisPid }) => {
      pids.push(redisPid, ...servers.map(({ pid }) => pid));
      return Promise.reject(new Error('the run failed'));
    });
    await expect(run).rejects.toThrow('the run failed');
    expect(pids).toHaveLength(3);
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  });

  test('say why they did not start', async () => {
    const run = withServers('gateway', { env: { JOURNAL_MAXLEN: 'many' } }, () => Promise.resolve());
    await expect(run).rejects.toThrow(/gateway did not start: it ended with 2\n[^]*JOURNAL_MAXLEN/);
  });

  test('have the processor time measured that they use, in cores', async () => {
    await withServers('raw', {}, async (bed) => {
      const meter = new UsageMeter(bed);
      const [server] = bed.servers;
      const url = `http://127.0.0.1:${server?.adminPort}/healthz`;
      await until('the server to have worked', async () => {
        for (let i = 0; i < 100; i++) await (await fetch(url)).text();
        return (meter.end().serverMillis[0] ?? 0) >= 50;
      });
      const usage = meter.end();
      const { server: cores, generator, redis, machine } = loadOf(usage, 1, usage.seconds * 500);
      expect(cores).toBeGreaterThan(0);
      expect(cores).toBeLessThan(2);
      expect(generator).toBeCloseTo(0.5);
      expect(redis).toBeGreaterThanOrEqual(0);
      expect(machine).toBeGreaterThan(0);
      expect(machine).toBeLessThanOrEqual(1);
    });
  });
});
