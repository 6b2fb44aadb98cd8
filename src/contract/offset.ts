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

/** The wire form of an offset: `<epoch>:<seq>`. */
export function formatOffset(epoch: string, seq: number): string {
  return `${epoch}:${seq}`;
}
