import type { RedisCommands } from '../redis/connections.js';
import type { DoctorFinding } from '../redis/doctor-finding.js';
import { faultOf } from '../redis/fault.js';
import { KEY_KINDS, SIZE_COMMANDS, keyBase } from '../redis/gateway-keys.js';
import { setAside } from '../redis/key-care.js';
import { newEpoch } from './epoch.js';
import { examineMeta } from './examine-meta.js';
import { type ForeignEntryError, type RawEntry, ownEntries, parseDeletion, parseStatuses } from './redis-entry.js';
import { type JournalKeys, journalKeys } from './redis-keys.js';
import { openScript, removeStatusScript } from './redis-scripts.js';

/** What `examineKeys` needs to know of the gateway. */
export interface ExaminedGateway {
  /** `REDIS_KEY_PREFIX` */
  readonly prefix: string;
  /** `JOURNAL_MAXLEN` */
  readonly maxlen: number;
}

const PAGE = 1000;
/** Ids that are named in a finding. */
const NAMED = 5;
/** A stream is trimmed by whole nodes: a little longer than it should be is usual. */
const FAR_LONGER = 2;

function few(names: readonly string[]): string {
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return names.slice(0, NAMED).join(', ') + more;
}

/** Every entry of a stream, page by page. */
async function* pagesOf(redis: RedisCommands, key: string): AsyncGenerator<RawEntry[]> {
  for (let from = '-'; ;) {
    const page = (await redis.xrange(key, from, '+', 'COUNT', PAGE)) as RawEntry[];
    yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    from = `(${last[0]}`;
  }
}

/** An entry that no gateway wrote is never rewritten, and ids are not given twice: removing it by its id is safe. */
async function remove(redis: RedisCommands, key: string, ids: readonly string[]): Promise<string> {
  let removed = 0;
  for (let at = 0; at < ids.length; at += PAGE) removed += await redis.xdel(key, ...ids.slice(at, at + PAGE));
  return `Removed ${removed} entries from ${key}.`;
}

async function lookAtTypes(redis: RedisCommands, prefix: string): Promise<DoctorFinding[]> {
  const findings: DoctorFinding[] = [];
  for (const [name, kind] of Object.entries(KEY_KINDS)) {
    const key = keyBase(prefix) + name;
    const fault = await redis.call(SIZE_COMMANDS[kind], key).then(
      () => undefined,
      (error: Error) => error,
    );
    if (fault === undefined) continue;
    if (faultOf(fault).code !== 'wrong_type') throw fault;
    findings.push({
      code: 'wrong_type',
      level: 'wrong',
      what: `${key} is no ${kind}.`,
      advice: `--repair renames it to ${keyBase(prefix)}set-aside:<time>:${name}; gateways that run do so when they meet it.`,
      repair: async () => {
        const [done] = await setAside(redis, prefix, [key]);
        return done === undefined ? `${key} is a ${kind} again.` : `Renamed ${key} to ${done.aside}.`;
      },
    });
  }
  return findings;
}

async function lookAtJournal(redis: RedisCommands, keys: JournalKeys, maxlen: number): Promise<DoctorFinding[]> {
  const foreign: ForeignEntryError[] = [];
  let length = 0;
  for await (const page of pagesOf(redis, keys.journal)) {
    length += page.length;
    ownEntries(page, (error) => foreign.push(error));
  }
  const findings: DoctorFinding[] = [];
  if (foreign.length > 0) {
    const named = foreign.slice(0, NAMED).map(({ streamId, fault }) => `${streamId} (${fault})`);
    const more = foreign.length > NAMED ? `, and ${foreign.length - NAMED} more` : '';
    findings.push({
      code: 'foreign_entries',
      level: 'wrong',
      what: `${keys.journal} has ${foreign.length} entries that no gateway wrote: ${named.join(', ')}${more}.`,
      advice: 'Gateways leave them out. --repair removes them.',
      repair: () =>
        remove(
          redis,
          keys.journal,
          foreign.map(({ streamId }) => streamId),
        ),
    });
  }
  if (length > maxlen * FAR_LONGER + PAGE) {
    findings.push({
      code: 'journal_long',
      level: 'note',
      what: `${keys.journal} has ${length} entries, and JOURNAL_MAXLEN is ${maxlen} here.`,
      advice: 'Give this command the JOURNAL_MAXLEN of the gateways. The next append trims it.',
    });
  }
  return findings;
}

async function lookAtDeletions(redis: RedisCommands, { deletions }: JournalKeys): Promise<DoctorFinding[]> {
  const ids: string[] = [];
  for await (const page of pagesOf(redis, deletions)) {
    ids.push(...page.filter((raw) => parseDeletion(raw) === undefined).map(([id]) => id));
  }
  if (ids.length === 0) return [];
  return [
    {
      code: 'foreign_deletions',
      level: 'wrong',
      what: `${deletions} has ${ids.length} entries that no gateway wrote: ${few(ids)}.`,
      advice: 'Gateways leave them out. --repair removes them.',
      repair: () => remove(redis, deletions, ids),
    },
  ];
}

async function lookAtStatuses(redis: RedisCommands, { statuses }: JournalKeys): Promise<DoctorFinding[]> {
  const hash = await redis.hgetall(statuses);
  const own = new Set(parseStatuses(hash).map(({ service }) => service));
  const foreign = Object.entries(hash).filter(([service]) => !own.has(service));
  if (foreign.length === 0) return [];
  return [
    {
      code: 'foreign_statuses',
      level: 'wrong',
      what: `${statuses} has fields that no gateway wrote: ${few(foreign.map(([service]) => service))}.`,
      advice: 'Gateways leave them out. --repair removes them.',
      repair: async () => {
        const removed = await removeStatusScript.run(redis, [statuses], foreign.flat());
        return `Removed ${String(removed)} fields from ${statuses}.`;
      },
    },
  ];
}

async function lookAtMeta(redis: RedisCommands, keys: JournalKeys): Promise<DoctorFinding[]> {
  const wrong = await examineMeta(redis, keys);
  if (wrong === undefined) return [];
  return [
    {
      ...wrong,
      level: 'wrong',
      advice:
        'Gateways that run mend this with their next append. --repair does so now, and begins a new epoch if needed.',
      repair: async () => {
        const answer = (await openScript.run(redis, [keys.meta, keys.journal], [newEpoch(), ':0', '0'])) as string[];
        return `The journal goes on in epoch ${answer[0]} after ${answer[1]}${answer[5] ? `; ${answer[5]}` : ''}.`;
      },
    },
  ];
}

async function lookAtLease(
  redis: RedisCommands,
  { lease, claim }: JournalKeys,
  prefix: string,
): Promise<DoctorFinding[]> {
  const leftMs = await redis.pttl(lease).catch(() => undefined);
  const [token, claimer] = [await redis.get(lease), await redis.get(claim)];
  const left = leftMs === undefined ? 'for a time that this user may not ask for' : `for ${leftMs} ms more`;
  const claimed = claimer === null ? '' : ` Pod ${claimer} claims it.`;
  const what =
    token === null ? 'Nobody holds the lease of the bridge.' : `The lease of the bridge is held ${left}.${claimed}`;
  const kept = `${keyBase(prefix)}kept-topics`;
  const [clients, bytes] = [await redis.hlen(kept), (await redis.hget(kept, '#bytes')) ?? '0'];
  const topics = `Topics are kept for ${Math.max(0, clients - 1)} clients, in about ${bytes} bytes.`;
  return [
    ...(leftMs === -1
      ? [{ code: 'lease_forever', level: 'wrong' as const, what: `${lease} has no end.`, advice: `DEL ${lease}` }]
      : [{ code: 'lease', level: 'note' as const, what }]),
    { code: 'kept_topics', level: 'note', what: topics },
  ];
}

/**
 * Looks at the keys of a gateway. Changes nothing; what it finds says how to repair it.
 *
 * @throws what Redis or the connection says
 */
export async function examineKeys(redis: RedisCommands, { prefix, maxlen }: ExaminedGateway): Promise<DoctorFinding[]> {
  const keys = journalKeys(prefix);
  const wrong = await lookAtTypes(redis, prefix);
  const findings = [...wrong];
  const looks = [
    { of: ['journal'], look: () => lookAtJournal(redis, keys, maxlen) },
    { of: ['deletions'], look: () => lookAtDeletions(redis, keys) },
    { of: ['statuses'], look: () => lookAtStatuses(redis, keys) },
    { of: ['meta', 'journal'], look: () => lookAtMeta(redis, keys) },
    { of: ['lease', 'claim', 'kept-topics'], look: () => lookAtLease(redis, keys, prefix) },
  ];
  for (const { of, look } of looks) {
    // Nothing can be read from a key of another type.
    if (wrong.some(({ what }) => of.some((name) => what.startsWith(`${keyBase(prefix)}${name} `)))) continue;
    findings.push(...(await look()));
  }
  return findings;
}
