/** How far a source stream has been read. */
export interface SourcePlace {
  /** Of the last entry read, `<ms>-<n>`; {@link STREAM_START} before the first. */
  readonly id: string;
  /** How many entries were added to the stream up to there, read or lost; `undefined` if that is not known. */
  readonly count: number | undefined;
}

/** The id that stands before all entries. */
export const STREAM_START = '0-0';

const SHAPE = /^(\d{1,20}-\d{1,20}) (\d{1,15}|-)$/;

/** Reads a place as it is kept in Redis. @returns `undefined` where there is none, or it is none */
export function parseSourcePlace(text: string): SourcePlace | undefined {
  const [, id, count] = SHAPE.exec(text) ?? [];
  return id === undefined ? undefined : { id, count: count === '-' ? undefined : Number(count) };
}

/** A place as it is kept in Redis. */
export function formatSourcePlace({ id, count }: SourcePlace): string {
  return `${id} ${count ?? '-'}`;
}

function partsOf(id: string): readonly [ms: bigint, n: bigint] {
  const [ms = '0', n = '0'] = id.split('-');
  return [BigInt(ms), BigInt(n)];
}

/** Whether one id of a stream stands before another. */
export function isEarlierId(id: string, other: string): boolean {
  const [ms, n] = partsOf(id);
  const [otherMs, otherN] = partsOf(other);
  return ms === otherMs ? n < otherN : ms < otherMs;
}

/** How many ms lie between the times of two ids, of which the first is the earlier one. */
export function msBetween(id: string, later: string): number {
  return Number(partsOf(later)[0] - partsOf(id)[0]);
}
