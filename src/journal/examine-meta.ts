import { messageOf } from '../errors.js';
import type { RedisCommands } from '../redis/connections.js';
import type { DoctorFinding } from '../redis/doctor-finding.js';
import type { JournalKeys } from './redis-keys.js';

/** What the hash of the epoch and the stream say at one moment. */
interface Picture {
  readonly meta: Readonly<Record<string, string>>;
  /** Last id that the stream has given; `undefined` where there is no stream. */
  readonly lastId: string | undefined;
  readonly length: number;
}

const EPOCH = /^[\w-]{1,40}$/;
const NUMBER = /^\d{1,16}$/;
const MAX_SEQ = 9_000_000_000_000_000;

/** The stream first: gateways may append meanwhile, and then `meta` is only further ahead. */
async function pictureOf(redis: RedisCommands, { meta, journal }: JournalKeys): Promise<Picture> {
  const stream = (await redis.xinfo('STREAM', journal).catch((error: unknown) => {
    if (messageOf(error).includes('no such key')) return [];
    throw error;
  })) as unknown[];
  const hash = await redis.hgetall(meta);
  const valueOf = (name: string): unknown => stream[stream.indexOf(name) + 1];
  const lastId = stream.length === 0 ? undefined : String(valueOf('last-generated-id'));
  return { meta: hash, lastId, length: Number(valueOf('length') ?? 0) };
}

/** What makes the hash useless; `undefined` if nothing does. */
function damageOf({ meta }: Picture): string | undefined {
  const { epoch = '', seq = '', start, from } = meta;
  if (!EPOCH.test(epoch)) return `its epoch is ${JSON.stringify(epoch)}`;
  if (!NUMBER.test(seq) || Number(seq) > MAX_SEQ) return `its seq is ${JSON.stringify(seq)}`;
  if ((start !== undefined || from !== undefined) && !NUMBER.test(start ?? ''))
    return `its start is ${start ?? 'missing'}`;
  return Number(start ?? 0) > Number(seq) ? `its seq, ${seq}, is below its start, ${start}` : undefined;
}

/** Compares the hash of the epoch with the stream of the journal, as the scripts that begin epochs do. */
export async function examineMeta(
  redis: RedisCommands,
  keys: JournalKeys,
): Promise<Pick<DoctorFinding, 'code' | 'what'> | undefined> {
  const picture = await pictureOf(redis, keys);
  if (Object.keys(picture.meta).length === 0) {
    if (picture.lastId === undefined) return undefined;
    return {
      code: 'meta_missing',
      what: `${keys.meta} is missing, and ${keys.journal} has ${picture.length} entries.`,
    };
  }
  const damage = damageOf(picture);
  if (damage !== undefined) return { code: 'meta_damaged', what: `${keys.meta} makes no sense: ${damage}.` };
  const { seq = '0' } = picture.meta;
  const last = Number.parseInt(picture.lastId ?? '0', 10);
  if (last <= Number(seq)) return undefined;
  if (last > MAX_SEQ) {
    return {
      code: 'ids_used_up',
      what: `The last id of ${keys.journal}, ${picture.lastId}, leaves none for a gateway.`,
    };
  }
  return {
    code: 'meta_behind',
    what: `${keys.meta} is at ${seq}, behind the last id of its stream, ${picture.lastId}.`,
  };
}
