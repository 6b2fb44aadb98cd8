import { z } from 'zod';

/**
 * A place in the journal. On the wire it is the opaque string `<epoch>:<seq>`.
 *
 * `seq` grows by exactly one an entry within an epoch; an epoch is one life of a journal.
 */
export interface Offset {
  /** Random name of one life of the journal. */
  readonly epoch: string;
  /** Number of the entry in its epoch; 0 is the place before the first entry. */
  readonly seq: number;
}

/**
 * Whether entries are missing between two that follow each other. Within an epoch numbers are contiguous; a new epoch
 * starts just above the newest number that anybody has seen, so a jump there names what was lost with the old one.
 */
export function isHole(before: Offset, after: Offset): boolean {
  return after.seq > before.seq + 1;
}

/** Longest offset taken from a client, in characters. */
const MAX_OFFSET_LENGTH = 64;

const OFFSET_SHAPE = /^([\w-]{1,40}):(0|[1-9]\d{0,15})$/;

/** The wire form of an {@link Offset}, for the published contract. */
export const offsetSchema = z
  .string()
  .max(MAX_OFFSET_LENGTH)
  .regex(OFFSET_SHAPE)
  .describe('A place in the journal, `<epoch>:<seq>`; opaque to clients.');

/** The wire form of an offset: `<epoch>:<seq>`. */
export function formatOffset({ epoch, seq }: Offset): string {
  return `${epoch}:${seq}`;
}

/**
 * Reads an offset that came from outside.
 *
 * @returns `undefined` for anything that {@link formatOffset} does not make
 */
export function parseOffset(text: unknown): Offset | undefined {
  if (typeof text !== 'string' || text.length > MAX_OFFSET_LENGTH) return undefined;
  const match = OFFSET_SHAPE.exec(text);
  if (match?.[1] === undefined) return undefined;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { epoch: match[1], seq } : undefined;
}
