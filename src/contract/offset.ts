import { z } from 'zod';

/**
 * A place in the journal. On the wire it is the opaque string `<epoch>:<seq>`.
 *
 * `seq` grows by exactly one an entry within an epoch; an epoch is one life of a journal. From one epoch to the next it
 * jumps, and no number is ever given twice.
 */
export interface Offset {
  /** Random name of one life of the journal. */
  readonly epoch: string;
  /** Number of the entry. The place before the first entry of an epoch has that one's number less one. */
  readonly seq: number;
}

/** The place of an entry, and what the first entry of an epoch says of those before. */
export interface EntryPlace extends Offset {
  /**
   * On the first entry of an epoch: whoever has every entry up to this number has lost nothing before this entry. What
   * lies between the two numbers went down with an earlier epoch, or there was nothing.
   */
  readonly unbrokenFrom?: number;
}

/**
 * Whether entries are missing between a place and the next entry after it. Within an epoch numbers are contiguous. A new
 * epoch starts far above the old one, and its first entry says up to where that has to be read.
 *
 * @param entry - of another epoch and without {@link EntryPlace.unbrokenFrom}, it is not known to be the first one: then
 *   only the number right before it is near enough
 */
export function isHole(before: Offset, entry: EntryPlace): boolean {
  if (before.epoch === entry.epoch) return entry.seq > before.seq + 1;
  return before.seq < (entry.unbrokenFrom ?? entry.seq - 1);
}

/** Longest offset taken from a client, in characters. */
const MAX_OFFSET_LENGTH = 64;

/** Ends the place of a client that has chosen topics while connected. */
const CHOSEN_MARK = '~';

const OFFSET_SHAPE = /^([\w-]{1,40}):(0|[1-9]\d{0,15})(~?)$/;

/** The wire form of an {@link Offset}, for the published contract. */
export const offsetSchema = z
  .string()
  .max(MAX_OFFSET_LENGTH)
  .regex(OFFSET_SHAPE)
  .describe('A place in the journal; opaque to clients. `<epoch>:<seq>`, with `~` behind it on some connections.');

/** The wire form of an offset: `<epoch>:<seq>`. */
export function formatOffset({ epoch, seq }: Offset): string {
  return `${epoch}:${seq}`;
}

/**
 * Where a client is. On the wire it is an offset, with `~` behind it if the client has chosen: so a client that reconnects
 * tells by its offset alone whether its topics are those of its `auth`, and nobody has to be asked.
 */
export interface ClientPlace {
  readonly offset: Offset;
  /** Whether it has chosen topics while connected, in this session or in one that it recovered from. */
  readonly hasChosen: boolean;
}

/** The wire form of a {@link ClientPlace}: `<epoch>:<seq>`, or `<epoch>:<seq>~`. */
export function formatPlace(offset: Offset, hasChosen: boolean): string {
  return hasChosen ? formatOffset(offset) + CHOSEN_MARK : formatOffset(offset);
}

/**
 * Reads a place that came from a client.
 *
 * @returns `undefined` for anything that {@link formatPlace} does not make
 */
export function parsePlace(text: unknown): ClientPlace | undefined {
  if (typeof text !== 'string' || text.length > MAX_OFFSET_LENGTH) return undefined;
  const match = OFFSET_SHAPE.exec(text);
  if (match?.[1] === undefined) return undefined;
  const seq = Number(match[2]);
  if (!Number.isSafeInteger(seq)) return undefined;
  return { offset: { epoch: match[1], seq }, hasChosen: match[3] === CHOSEN_MARK };
}

/**
 * Reads an offset that came from outside. One that a client was sent may be marked; the mark says nothing about the place.
 *
 * @returns `undefined` for anything that {@link formatOffset} and {@link formatPlace} do not make
 */
export function parseOffset(text: unknown): Offset | undefined {
  return parsePlace(text)?.offset;
}
