import type { BenchResult, Row } from '../result.js';
import { faultText } from './format.js';

/** What a row is called in a sentence: `fanout, 200 signals/s, gateway`. */
export function rowName(scenario: string, point: string, server: string): string {
  return [scenario, point, server].filter((part) => part !== '').join(', ');
}

/** What went wrong in a row that a client or an operator would call a fault; empty if nothing did. */
function faultOf(row: Row, overloaded: boolean): string {
  // A server that cannot be measured even once has not shown that it loses nothing.
  return row.runs.length === 0 ? 'no run could be finished' : faultText(row, overloaded);
}

/** A sentence for each row of the gateway in which a client missed something, had it twice, out of order, or was dropped. */
export function gatewayFaults({ scenarios }: BenchResult): string[] {
  return scenarios.flatMap(({ name, tables, overloads = false }) =>
    tables.flatMap(({ point, rows }) =>
      rows.flatMap((row) => {
        const fault = row.server === 'gateway' ? faultOf(row, overloads) : '';
        return fault === '' ? [] : [`${rowName(name, point, row.server)}: ${fault}.`];
      }),
    ),
  );
}

/** Whether the gateway was so overloaded somewhere, as was wanted, that clients missed something in time. */
export function overloadShowed({ scenarios }: BenchResult): boolean {
  return scenarios.some(
    ({ overloads = false, tables }) =>
      overloads && tables.some(({ rows }) => rows.some((row) => row.server === 'gateway' && faultText(row) !== '')),
  );
}

/** Whether clients of the gateway counted what they got anywhere in a result; without it "nothing was lost" means nothing. */
export function gatewayCounted({ scenarios }: BenchResult): boolean {
  const rows = scenarios.flatMap(({ tables }) => tables.flatMap((table) => table.rows));
  return rows.some(
    ({ server, runs }) => server === 'gateway' && runs.some(({ counts }) => (counts?.received ?? 0) > 0),
  );
}

/** How many rows a result has, and how many of them are marked. */
export function countMarks({ scenarios }: BenchResult): { readonly rows: number; readonly marked: number } {
  const rows = scenarios.flatMap(({ tables }) => tables.flatMap((table) => table.rows));
  return { rows: rows.length, marked: rows.filter(({ marks }) => marks.length > 0).length };
}
