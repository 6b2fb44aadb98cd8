import type { Logger } from 'pino';
import { TurnShare } from '../turn-share.js';
import { ForeignLog } from './foreign-log.js';
import type { JournalEntry } from './journal.js';
import { type ForeignEntryError, type RawEntry, ownEntries } from './redis-entry.js';

/** How far ahead of all that is known a number may be, in µs. An epoch begins at the time of Redis. */
const AHEAD_US = 24 * 3_600_000_000;
/** Entries that are parsed without a look at the time. */
const AT_ONCE = 16;

/** The number in an id of the stream; not exact where no entry can be. */
function numberOf(streamId: string): number {
  return Number.parseInt(streamId, 10);
}

/** Up to where numbers are taken for what a gateway gave. @param known - the highest number that is known */
function highestNumber(known: number): number {
  return Math.max(known, Date.now() * 1000) + AHEAD_US;
}

/**
 * Where a reader is in the stream of the journal. What no gateway wrote there is left out and named in the log, and the reader
 * steps over it, wherever it stands.
 */
export class StreamPlace {
  readonly #foreign: ForeignLog;
  /** The newest id that came; it may be above that of the newest entry. */
  #passed: string | undefined;
  /** Epochs that are over for the reader, or never were: their entries cannot come any more. */
  readonly #past = new Set<string>();

  constructor(log: Logger) {
    this.#foreign = new ForeignLog(log);
  }

  /** The id to read after. @param position - number of the newest entry read */
  after(position: number): string {
    const passed = this.#passed;
    return passed !== undefined && numberOf(passed) >= position ? passed : `${position}-0`;
  }

  /** Notes that everything up to an id was taken, or is nothing to take. Without an id nothing came. */
  passed(streamId: string | undefined): void {
    this.#passed = streamId ?? this.#passed;
  }

  /** Goes back to the newest entry: what stood above it may be gone, and then entries come below it. */
  goBack(): void {
    this.#passed = undefined;
  }

  /** Notes that no more entries of an epoch are to come. */
  leave(epoch: string): void {
    this.#past.add(epoch);
  }

  /** Leaves out an entry of an epoch that is over. @returns whether it is one */
  isPast({ epoch, seq }: JournalEntry): boolean {
    if (!this.#past.has(epoch)) return false;
    this.#foreign.note({ streamId: `${seq}-0`, fault: 'its epoch is not the one that the journal has there' });
    return true;
  }

  /**
   * Parses entries that came from Redis, a few ms in each turn of the event loop.
   *
   * @param known - the highest number that is known
   * @param ask - asks Redis for it, where entries are far above it
   */
  async own(raws: readonly RawEntry[], known: number, ask: () => Promise<number>): Promise<JournalEntry[]> {
    const last = raws.at(-1);
    const isAhead = last !== undefined && numberOf(last[0]) > highestNumber(known);
    const highest = highestNumber(isAhead ? Math.max(known, await ask()) : known);
    const note = (error: ForeignEntryError): void => this.#foreign.note(error);
    const share = new TurnShare();
    const own: JournalEntry[] = [];
    for (let at = 0; at < raws.length; at += AT_ONCE) {
      if (at > 0 && share.isOver) await share.next();
      for (const entry of ownEntries(raws.slice(at, at + AT_ONCE), note)) {
        if (entry.seq <= highest) own.push(entry);
        else this.#foreign.note({ streamId: `${entry.seq}-0`, fault: 'its id is too high' });
      }
    }
    return own;
  }
}
