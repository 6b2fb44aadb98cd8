import type { Scenario, ServerName } from '../scenario.js';
import { interleave, rowsOf } from './harness.js';
import { type Defaults, STEADY_COLUMNS, measureSteady, samplesOf, settingsOf, steadyOf } from './steady.js';

/** Control rows that take a steady stream, with topics or without. */
export const ALL_ROWS = ['raw', 'stock-uws', 'stock-ws', 'python'] as const;

/** What is said under every table of steady streams. */
export const SETTLED_NOTE =
  'After the last signal deliveries are waited for as long as they keep coming, up to 3 minutes; what has not come then, or for 10 s, counts as lost. A row that had a backlog of more than 10 s is marked; its deliveries a second are those it made in all that time. Counts and cost cover the first second too, which is not timed.';

/** What makes one scenario of a steady stream differ from another. */
export interface SteadyOptions {
  readonly name: string;
  readonly title: string;
  readonly defaults?: Defaults;
  /** Rows beside the gateway when the user did not say. */
  readonly fallback: readonly ServerName[];
  readonly notes?: readonly string[];
}

/** A scenario that has one stream, and one table with a row for each server. */
export function steadyScenario({ name, title, defaults, fallback, notes = [] }: SteadyOptions): Scenario {
  return {
    name,
    title,
    async run(settings, progress) {
      const { runs = 3 } = settings;
      const steady = steadyOf(settings, defaults);
      const { names, notes: leftOut } = rowsOf(settings, ALL_ROWS, fallback);
      progress.steps(names.length * runs);
      const rows = await interleave({
        names,
        runs,
        progress,
        measure: async (server, run) => {
          const samples = samplesOf(settings, `${name}-${server}`, run);
          return (await measureSteady(server, { ...steady, ...samples }, progress)).run;
        },
      });
      return {
        name,
        title,
        settings: settingsOf(steady, runs),
        tables: [{ point: '', columns: STEADY_COLUMNS, rows }],
        notes: [...leftOut, ...notes, SETTLED_NOTE],
      };
    },
  };
}
