import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { type ProgressStream, showProgress } from '../../../bench/report/progress.js';

/** What is written while a scenario of two steps goes on. */
function written(isTTY: boolean): string {
  const stream: ProgressStream = Object.assign(new PassThrough(), {
    isTTY,
    columns: 200,
    // What cli-progress asks of a terminal.
    cursorTo: () => true,
    clearLine: () => true,
    moveCursor: () => true,
  });
  const progress = showProgress('fanout', stream);
  progress.steps(2);
  progress.step('gateway, run 1 of 1');
  progress.within(0.5, { 'signals/s': 25, p50: 1.234 });
  progress.step('raw, run 1 of 1');
  progress.done();
  return stripVTControlCharacters(String((stream as unknown as PassThrough).read() ?? ''));
}

test('a log gets a line for each step and no live figures', () => {
  expect(written(false)).toBe('fanout 1/2: gateway, run 1 of 1\nfanout 2/2: raw, run 1 of 1\n');
});

test('a terminal gets a bar with the current step', () => {
  const text = written(true);
  expect(text).toContain('░');
  expect(text).toContain('raw, run 1 of 1');
  expect(text).toContain('50 %');
});
