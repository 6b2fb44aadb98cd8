import type { Cluster, Redis } from 'ioredis';
import type { LuaScript, ScriptCommands } from '../redis/lua-script.js';

/** The script that reads a page; load it with `luaScript`. */
export const SOURCE_PAGE_SCRIPT = new URL('./lua/source-page.lua', import.meta.url);

/** An entry of a source stream. */
export interface SourceEntry {
  readonly id: string;
  /** How many of its fields are named `json`. */
  readonly named: number;
  /** Of the first of them. */
  readonly bytes: number;
  /** Its text; only the beginning where it is longer than a message may be. */
  readonly json: Buffer;
}

/** How a source stream stands, and the entries that come next. */
export interface SourcePage {
  readonly exists: boolean;
  /** How many entries were ever added; `undefined` where Redis does not say. */
  readonly added: number | undefined;
  /** How many entries there are. */
  readonly length: number;
  /** Id of the entry that was added last. */
  readonly lastId: string;
  /** Where {@link added} is not known: the last entry read is no longer there, and others are. */
  readonly isGone: boolean;
  readonly entries: readonly SourceEntry[];
}

/** What to read of a source stream. */
export interface SourceRequest {
  readonly stream: string;
  /** Id of the last entry read. */
  readonly after: string;
  /** Longest text of a message; of longer ones little is read. */
  readonly maxBytes: number;
}

/** Redis answers a waiting read after this time at the latest, which proves that the link is alive. */
const BLOCK_MS = 1000;
/** How late an answer may be before the link counts as dead. */
const GRACE_MS = 2000;
/** A page is no longer than this and one message more. */
const PAGE_BYTES = 1024 * 1024;

type RawPage = [number, number, number, Buffer, number, [id: Buffer, named: number, bytes: number, json: Buffer][]];
type RawRead = [Buffer, [id: Buffer, fields: Buffer[]][]][] | null;

async function inTime<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    // A pause of this process is not Redis's silence: look once more after the next turn of the loop.
    timer = setTimeout(
      () => setImmediate(() => setImmediate(reject, new Error(`no answer within ${limitMs} ms`))),
      limitMs,
    );
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Makes the answers of scripts bytes: whether a text is UTF-8 has to be seen. */
function asBytes(redis: Redis | Cluster): ScriptCommands {
  return {
    evalsha: (sha, keyCount, ...args) => redis.callBuffer('EVALSHA', sha, keyCount, ...args),
    eval: (source, keyCount, ...args) => redis.callBuffer('EVAL', source, keyCount, ...args),
  };
}

/**
 * Reads the entries after a place, without waiting, and how the stream stands in the same moment.
 *
 * @param script - {@link SOURCE_PAGE_SCRIPT}
 * @param count - most entries; 0 only to look
 * @throws what Redis or the connection says
 */
export async function readSourcePage(
  redis: Redis | Cluster,
  script: Pick<LuaScript, 'run'>,
  { stream, after, maxBytes, count }: SourceRequest & { readonly count: number },
): Promise<SourcePage> {
  const run = script.run(asBytes(redis), [stream], [after, count, PAGE_BYTES, maxBytes]);
  const [exists, added, length, lastId, isGone, entries] = (await inTime(BLOCK_MS + GRACE_MS, run)) as RawPage;
  return {
    exists: exists === 1,
    added: added < 0 ? undefined : added,
    length,
    lastId: lastId.toString(),
    isGone: isGone === 1,
    entries: entries.map(([id, named, bytes, json]) => ({ id: id.toString(), named, bytes, json })),
  };
}

/**
 * Waits for the next entry after a place. It comes with the answer, so that one that comes alone is not asked for twice.
 *
 * @returns `undefined` when none has come for a while
 * @throws what Redis or the connection says
 */
export async function awaitSourceEntry(
  redis: Redis | Cluster,
  { stream, after, maxBytes }: SourceRequest,
): Promise<SourceEntry | undefined> {
  const read = redis.xreadBuffer('COUNT', 1, 'BLOCK', BLOCK_MS, 'STREAMS', stream, after);
  const answer = (await inTime(BLOCK_MS + GRACE_MS, read as Promise<unknown>)) as RawRead;
  const [id, fields] = answer?.[0]?.[1][0] ?? [];
  if (id === undefined || fields === undefined) return undefined;
  let named = 0;
  let json = Buffer.alloc(0);
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.toString() !== 'json') continue;
    named++;
    if (named === 1) json = fields[at + 1] as Buffer<ArrayBuffer>;
  }
  // The beginning of what is too long is copied: a part of it would hold the whole.
  const kept = json.byteLength > maxBytes ? Buffer.from(json.subarray(0, maxBytes)) : json;
  return { id: id.toString(), named, bytes: json.byteLength, json: kept };
}
