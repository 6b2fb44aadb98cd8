import { encodeEntry } from '../contract/packet.js';
import type { JournalEntry } from '../journal/journal.js';

/** An entry, encoded once for all clients that catch up. */
export interface Frame {
  /** The packet. */
  readonly text: string;
  /** Bytes of it in UTF-8. */
  readonly size: number;
  /** The packet as a door sends it; kept here by the door that made it. */
  bytes: Uint8Array | undefined;
}

/** Bytes of frames that are kept of one kind. */
const MAX_BYTES = 4 * 1024 * 1024;
/** What a frame takes beside its text, and its text twice. */
const OVERHEAD_BYTES = 300;

/** The newest frames of one kind that were asked for: clients that reconnect at the same time want the same entries. */
export class Frames {
  readonly #hasChosen: boolean;
  readonly #kept = new Map<JournalEntry, Frame>();
  #bytes = 0;

  /** @param hasChosen - as in `encodeEntry` */
  constructor(hasChosen: boolean) {
    this.#hasChosen = hasChosen;
  }

  of(entry: JournalEntry): Frame {
    const kept = this.#kept;
    const known = kept.get(entry);
    if (known !== undefined) return known;
    const text = encodeEntry(entry, this.#hasChosen);
    const frame: Frame = { text, size: Buffer.byteLength(text), bytes: undefined };
    kept.set(entry, frame);
    this.#bytes += costOf(frame);
    for (const [oldest, one] of kept) {
      if (this.#bytes <= MAX_BYTES || kept.size === 1) break;
      kept.delete(oldest);
      this.#bytes -= costOf(one);
    }
    return frame;
  }
}

function costOf({ size }: Frame): number {
  return 2 * size + OVERHEAD_BYTES;
}
