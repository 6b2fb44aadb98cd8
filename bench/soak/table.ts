/** Prints a line. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Rows as a Markdown table whose columns line up; figures to the right. @param head - names of the columns */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(3, name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(width))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** The middle one of some values, or the mean of the two in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

/** Milliseconds from microseconds, with as many digits as say something. */
export function millis(micros: number): string {
  const value = micros / 1000;
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** A share as per cent. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/**
 * Reads the values of options that are numbers.
 *
 * @throws if a value is not a number, or is negative
 */
export function numbers<K extends string>(values: Readonly<Record<K, string>>): Record<K, number> {
  const found = {} as Record<K, number>;
  for (const [name, text] of Object.entries(values) as [K, string][]) {
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0)) throw new Error(`--${name} takes a number, not "${text}"`);
    found[name] = value;
  }
  return found;
}
