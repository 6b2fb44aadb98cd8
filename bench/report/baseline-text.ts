import type { Comparison } from './baseline.js';
import { number, ratioText } from './format.js';

/** Less than this is not called a move, however steady the runs were. */
const STILL = 0.05;

/** The comparison as lines for the terminal: what moved, what is past the tolerance, what could not be compared. */
export function comparisonText({ moves, notes }: Comparison, tolerance: number): string {
  const moved = moves.filter(({ apart, worse }) => apart && Math.abs(worse) >= STILL);
  const lines = moved.map(({ what, unit, from, to, worse, failed, marked }) => {
    const value = (of: number): string => (unit === '×' ? ratioText(of) : `${number(of, 2)} ${unit}`);
    const change = Math.round((to / from - 1) * 100);
    const share = `${change > 0 ? '+' : '−'}${Math.abs(change)} %, ${worse > 0 ? 'worse' : 'better'}`;
    const verdict = failed ? '  PAST THE TOLERANCE' : marked ? '  (a row is marked)' : '';
    return `${failed ? '!' : ' '} ${what}: ${value(from)} → ${value(to)}, ${share}${verdict}`;
  });
  const still = moves.length - moved.length;
  return [
    `Against the baseline, ratios of the gateway to a control row (tolerance ${Math.round(tolerance * 100)} %):`,
    ...lines,
    ...(still > 0
      ? [`  ${still} of ${moves.length} figures did not move (under 5 %, or within the range of the runs).`]
      : []),
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}
