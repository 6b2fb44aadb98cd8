import type { Cluster, Redis } from 'ioredis';
import type { RawEntry } from './redis-entry.js';
import type { JournalKeys } from './redis-keys.js';

/** Redis answers a waiting read after this time at the latest, which proves that the link is alive. */
export const BLOCK_MS = 1000;
/** Beyond {@link BLOCK_MS}: how late an answer may be before the link counts as dead. */
const GRACE_MS = 2000;
/** Most entries of one answer. */
export const READ_COUNT = 1000;

/** What to read, and how. */
export interface StreamRequest {
  readonly keys: JournalKeys;
  /** Ids of the newest entry read and of the newest deletion read. */
  readonly after: { readonly entry: string; readonly deletion: string };
  /** Whether to wait for something to come; nothing came if the answer is empty then. */
  readonly isWaiting: boolean;
}

/** What has come since: entries, and deletions of entries. */
export interface StreamAnswer {
  readonly entries: RawEntry[];
  readonly deletions: readonly RawEntry[];
}

/**
 * Reads what comes after a place of the journal, and after one of the deletions, in one answer of Redis.
 *
 * @throws when Redis does not answer in time
 */
export async function readStreams(
  redis: Redis | Cluster,
  { keys: { journal, deletions }, after, isWaiting }: StreamRequest,
): Promise<StreamAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    // A pause of this process is not Redis's silence: look once more after the next turn of the loop.
    timer = setTimeout(
      () => setImmediate(() => setImmediate(reject, new Error(`no answer within ${BLOCK_MS + GRACE_MS} ms`))),
      BLOCK_MS + GRACE_MS,
    );
  });
  try {
    const places = [journal, deletions, after.entry, after.deletion] as const;
    const read = isWaiting
      ? redis.xread('COUNT', READ_COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', ...places)
      : redis.xread('COUNT', READ_COUNT, 'STREAMS', ...places);
    read.catch(() => {});
    const answer = new Map(await Promise.race([read, silence]));
    return { entries: answer.get(journal) ?? [], deletions: answer.get(deletions) ?? [] };
  } finally {
    clearTimeout(timer);
  }
}
