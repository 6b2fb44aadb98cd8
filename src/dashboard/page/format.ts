function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** A time of day, with milliseconds, as the reader's clock shows it. @param time - Unix milliseconds */
export function clock(time: number): string {
  const date = new Date(time);
  const ms = date.getMilliseconds();
  const fraction = ms < 10 ? `00${ms}` : ms < 100 ? `0${ms}` : String(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${fraction}`;
}

const UNITS = [
  [31_557_600_000, ' y'],
  [86_400_000, ' d'],
  [3_600_000, ' h'],
  [60_000, ' min'],
  [1000, ' s'],
] as const;

/** A duration for a person. @param ms - milliseconds */
export function duration(ms: number): string {
  const size = Math.abs(ms);
  const sign = ms < 0 ? '−' : '';
  for (const [length, unit] of UNITS) {
    if (size >= length) return `${sign}${(size / length).toFixed(size < 10 * length ? 1 : 0)}${unit}`;
  }
  return `${sign}${Math.round(size)} ms`;
}

const WHOLE = new Intl.NumberFormat('en');

/** A count with separators. */
export function count(value: number): string {
  return WHOLE.format(value);
}

const PRICE = new Intl.NumberFormat('en', { maximumSignificantDigits: 12 });

/** A price with separators and all of its digits. */
export function price(value: number): string {
  return PRICE.format(value);
}

/** One thing or several of them. */
export function several(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}
