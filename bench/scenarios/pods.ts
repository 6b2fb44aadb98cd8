import type { Row, Table } from '../result.js';
import type { Scenario } from '../scenario.js';
import { interleave, rowsOf } from '../harness/harness.js';
import { ALL_ROWS, SETTLED_NOTE } from '../harness/steady-scenario.js';
import { STEADY_COLUMNS, measureSteady, samplesOf, settingsOf, steadyOf } from '../harness/steady.js';

const PODS = [1, 2, 4];

/** The same clients spread over more and more pods. */
export const pods: Scenario = {
  name: 'pods',
  title: 'one signal through several pods: the same clients, spread over more of them',
  async run(settings, progress) {
    const { runs = 3 } = settings;
    const counts = settings.pods === undefined ? PODS : [settings.pods];
    const steady = steadyOf(settings, { clients: 2000 });
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['stock-uws']);
    progress.steps(counts.length * names.length * runs);
    const tables: Table[] = [];
    for (const count of counts) {
      const point = `${count} ${count === 1 ? 'pod' : 'pods'}`;
      const rows: Row[] = await interleave({
        names,
        runs,
        progress,
        point,
        measure: async (name, run) => {
          const samples = samplesOf(settings, `${pods.name}-${count}-${name}`, run);
          return (await measureSteady(name, { ...steady, ...samples, pods: count }, progress)).run;
        },
      });
      tables.push({ point, x: count, columns: STEADY_COLUMNS, rows });
    }
    return {
      name: pods.name,
      title: pods.title,
      settings: { ...settingsOf(steady, runs), pods: counts.join(', ') },
      axis: 'pods',
      tables,
      notes: [
        ...notes,
        'All pods, Redis and the clients share this one machine, so more pods have less of it each: this shows what the way through several pods adds, not how much more of them can do.',
        SETTLED_NOTE,
      ],
    };
  },
};
