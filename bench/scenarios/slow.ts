import type { FleetReport } from '../load/fleet-types.js';
import type { Row } from '../result.js';
import type { Scenario, ServerName } from '../scenario.js';
import { interleave, rowsOf } from '../harness/harness.js';
import { ALL_ROWS, SETTLED_NOTE } from '../harness/steady-scenario.js';
import { STEADY_COLUMNS, WARM_UP_SECONDS, measureSteady, samplesOf, settingsOf, steadyOf } from '../harness/steady.js';

const SHARE = 0.1;
const BYTES_PER_SECOND = 1000;
/** What the kernel's buffers hold of one connection (about 4 MB), and a server's own (1 MiB): with less nobody is slow for it. */
const FULL_BYTES = 5_500_000;

/** What a row is called while it is measured: its server, and whether some clients are slow. */
type Variant = `${ServerName}, ${'all read' | 'some slow'}`;

/** What becomes of the others, and of the slow ones themselves, when some clients read slowly. */
export const slow: Scenario = {
  name: 'slow',
  title: 'what the other clients feel when a tenth of them reads slowly',
  async run(settings, progress) {
    const { runs = 3 } = settings;
    // 9.6 MB for each client: its buffers are full halfway, and there is time to see what becomes of it.
    const steady = steadyOf(settings, { clients: 300, rate: 100, payload: 6000, seconds: 15 });
    const sentBytes = steady.rate * (WARM_UP_SECONDS + steady.seconds) * steady.payload;
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['raw', 'stock-uws']);
    const variants = names.flatMap((name): Variant[] => [`${name}, all read`, `${name}, some slow`]);
    const fates = new Map<string, FleetReport['slow'][]>();
    progress.steps(variants.length * runs);
    const rows = await interleave({
      names: variants,
      runs,
      progress,
      measure: async (variant, run) => {
        const name = variant.slice(0, variant.indexOf(',')) as ServerName;
        const samples = samplesOf(settings, `${slow.name}-${variant.replace(', ', '-').replace(' ', '-')}`, run);
        const some = variant.endsWith('slow') ? { slow: { share: SHARE, bytesPerSecond: BYTES_PER_SECOND } } : {};
        const measured = await measureSteady(name, { ...steady, ...samples, ...some }, progress);
        if (measured.slow.clients > 0) fates.set(name, [...(fates.get(name) ?? []), measured.slow]);
        return measured.run;
      },
    });
    const rowsFor = (end: string): Row[] =>
      rows.flatMap((row) => (row.server.endsWith(end) ? { ...row, server: row.server.slice(0, -end.length) } : []));
    return {
      name: slow.name,
      title: slow.title,
      settings: {
        ...settingsOf(steady, runs),
        'slow clients': `${SHARE * 100} %`,
        'they read': `${BYTES_PER_SECOND} B/s`,
      },
      tables: [
        { point: 'all clients read', columns: STEADY_COLUMNS, rows: rowsFor(', all read') },
        { point: 'a tenth reads slowly', columns: STEADY_COLUMNS, rows: rowsFor(', some slow') },
      ],
      notes: [
        ...notes,
        'All figures are those of the clients that read; slow ones are in none of them, but CPU/delivery has what was sent to them in it.',
        ...(sentBytes < FULL_BYTES
          ? [
              `Each client was sent ${(sentBytes / 1e6).toFixed(1)} MB, which the buffers of kernel and server can hold (about ${FULL_BYTES / 1e6} MB): no server had to do anything about slow ones. Take more --seconds.`,
            ]
          : []),
        ...[...fates].map(([name, counts]) => fateNote(name, counts)),
        SETTLED_NOTE,
      ],
    };
  },
};

/** What became of the slow clients of a server, once they were let read at full speed in the end. */
function fateNote(name: string, runs: readonly FleetReport['slow'][]): string {
  const sum = (key: keyof FleetReport['slow']): number => runs.reduce((total, counts) => total + counts[key], 0);
  const clients = `its ${sum('clients')} slow clients`;
  const isCut = sum('reconnected') > 0;
  const fate = isCut
    ? `${clients} were cut off and came back ${sum('reconnected')} times, and the server took up the session of ${sum('recovered')}`
    : `none of ${clients} was cut off`;
  const untold = isCut ? '' : ', and nothing told them';
  const missed = sum('lost');
  return `${name}: ${fate}. Once they read at full speed, ${missed === 0 ? 'they had everything' : `they missed ${missed} deliveries${untold}`}.`;
}
