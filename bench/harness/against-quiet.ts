import type { FigureName, Row, Run, Table } from '../result.js';
import type { Progress } from '../scenario.js';
import { failureOf } from './harness.js';
import { rowOf } from './summary.js';

/** What the control row of such a table is called. */
export const QUIET = 'quiet';

/** One run: the same clients on the same server, left alone and not. */
export interface QuietAndLoaded {
  readonly quiet: Run;
  readonly loaded: Run;
}

/** What {@link tableAgainstQuiet} is to do. */
export interface QuietComparison {
  /** As in {@link Table}. */
  readonly point: string;
  readonly columns: readonly FigureName[];
  readonly runs: number;
  /** Measures one run. One that throws is marked in both rows; the others continue. */
  readonly measure: (run: number) => Promise<QuietAndLoaded>;
  /** Gets one step for each run; the caller has told how many there are in all. */
  readonly progress: Progress;
}

/**
 * Measures the gateway against itself: each run has a quiet phase, which is the control row, and one in which something
 * happens to the server. So whatever else the machine does affects both alike.
 */
export async function tableAgainstQuiet(comparison: QuietComparison): Promise<Table> {
  const { point, columns, runs, measure, progress } = comparison;
  const measured: QuietAndLoaded[] = [];
  const failures: string[] = [];
  for (let run = 1; run <= runs; run++) {
    progress.step(`${point === '' ? '' : `${point}, `}run ${run} of ${runs}`);
    try {
      measured.push(await measure(run));
    } catch (error) {
      failures.push(failureOf(run, error));
    }
  }
  const row = (server: string, key: keyof QuietAndLoaded): Row => {
    const own = measured.map((one) => one[key]);
    return rowOf(server, own, failures);
  };
  return { point, control: QUIET, columns, rows: [row('gateway', 'loaded'), row(QUIET, 'quiet')] };
}
