import type { Cluster, Redis } from 'ioredis';
import type { JournalEntry } from './journal.js';
import { LARGEST_ID, type RawEntry, ownEntries } from './redis-entry.js';

/** Fewest entries of a page that is read since those before it were not enough. */
const NEXT_PAGE = 100;

/** Own entries, in the order in which they were asked for. */
interface Found {
  readonly entries: JournalEntry[];
  /** Whether there are no more in that direction. */
  readonly isEnd: boolean;
}

/**
 * Reads entries of the stream until there are enough: those that no gateway wrote do not count.
 *
 * @param read - one page, from a bound on
 * @param bound - as XRANGE takes it
 */
async function collect(
  read: (bound: string, count: number) => Promise<RawEntry[]>,
  bound: string,
  count: number,
): Promise<Found> {
  const entries: JournalEntry[] = [];
  let from = bound;
  for (let ask = count; ; ask = Math.max(NEXT_PAGE, count - entries.length)) {
    const raws = await read(from, ask);
    entries.push(...ownEntries(raws));
    const last = raws.at(-1);
    if (entries.length >= count) return { entries: entries.slice(0, count), isEnd: false };
    if (last === undefined || raws.length < ask || last[0] === LARGEST_ID) return { entries, isEnd: true };
    from = `(${last[0]}`;
  }
}

/** The entries of the journal in Redis, without what no gateway wrote into its stream. */
export class StoredEntries {
  readonly #key: string;

  /** @param key - of the stream */
  constructor(key: string) {
    this.#key = key;
  }

  /** So many entries from a number on, oldest first. */
  async forward(redis: Redis | Cluster, from: number, count: number): Promise<Found> {
    return collect((bound, ask) => redis.xrange(this.#key, bound, '+', 'COUNT', ask), `${from}-0`, count);
  }

  /** So many entries up to a number, newest first. @param to - default: the newest there is */
  async backward(redis: Redis | Cluster, count: number, to?: number): Promise<JournalEntry[]> {
    const bound = to === undefined ? '+' : `${to}-0`;
    const { entries } = await collect((from, ask) => redis.xrevrange(this.#key, from, '-', 'COUNT', ask), bound, count);
    return entries;
  }

  /** The entries from one number to another. */
  async between(redis: Redis | Cluster, from: number, to: number): Promise<JournalEntry[]> {
    return ownEntries(await redis.xrange(this.#key, `${from}-0`, `${to}-0`));
  }

  async oldest(redis: Redis | Cluster): Promise<JournalEntry | undefined> {
    return (await this.forward(redis, 0, 1)).entries[0];
  }

  /** @param to - a number above which none counts; default: the newest there is */
  async newest(redis: Redis | Cluster, to?: number): Promise<JournalEntry | undefined> {
    return (await this.backward(redis, 1, to))[0];
  }
}
