import { type RedisFault, RedisFaultError, faultFor } from './fault.js';
import type { RedisTarget } from './url.js';

/** A kind of Redis, as in `REDIS_URL`. */
type Kind = RedisTarget['kind'];

/** A command that the gateway uses. */
export interface RequiredCommand {
  /** In lower case. One word: what is used of its subcommands stands in `why`. */
  readonly name: string;
  /** What it is used for. */
  readonly why: string;
  /** Where only some need it: a kind of Redis, or a setting. @default everybody needs it */
  readonly only?:
    | 'cluster'
    | 'JOURNAL_MIN_REPLICAS'
    | 'SIGNAL_STREAM, STATUS_STREAM'
    | 'after an accident'
    | 'signal-gateway check'
    | 'signal-gateway doctor';
}

/** The oldest version of Redis that has all that is used, and what it is that older ones lack. Valkey has all of it. */
export const MIN_VERSIONS: Readonly<Record<Kind, { readonly version: string; readonly because: string }>> = {
  single: { version: '6.2', because: 'XRANGE from after an id' },
  sentinel: { version: '6.2', because: 'XRANGE from after an id' },
  cluster: { version: '7.0', because: 'Pub/Sub within a shard (SPUBLISH, SSUBSCRIBE)' },
};

/** Every command that is sent to Redis, also from Lua scripts. test/redis/requirements.test.ts holds it to the code. */
export const REQUIRED_COMMANDS: readonly RequiredCommand[] = [
  { name: 'hello', why: 'to log in and to agree on the protocol' },
  { name: 'client', why: 'SETNAME: the name of a connection in CLIENT LIST' },
  { name: 'ping', why: 'to notice a server that hangs' },
  { name: 'info', why: 'version, run id and replication id, limit of memory' },
  { name: 'command', why: 'INFO: to check this list at the start' },
  { name: 'role', why: 'to know a primary from a replica', only: 'signal-gateway check' },
  { name: 'cluster', why: 'SLOTS and INFO: where the keys are', only: 'cluster' },
  { name: 'subscribe', why: 'to hear producers and canaries' },
  { name: 'psubscribe', why: 'to hear other pods, and on a cluster emitters' },
  { name: 'publish', why: 'canaries; to reach other pods' },
  { name: 'ssubscribe', why: 'to hear other pods', only: 'cluster' },
  { name: 'spublish', why: 'to reach other pods', only: 'cluster' },
  { name: 'pubsub', why: 'CHANNELS, SHARDCHANNELS, NUMSUB, SHARDNUMSUB: which pods there are' },
  { name: 'eval', why: 'to run a script that Redis does not know yet' },
  { name: 'evalsha', why: 'to run a script' },
  { name: 'time', why: 'deadlines, and numbers above all that were given' },
  { name: 'xadd', why: 'to append to the journal and to the deletions' },
  { name: 'xdel', why: 'to delete an entry' },
  { name: 'xlen', why: 'how much is kept' },
  { name: 'xinfo', why: 'STREAM: the last number that a stream has given' },
  { name: 'xrange', why: 'to read the journal' },
  { name: 'xrevrange', why: 'to read its end' },
  { name: 'xread', why: 'to wait for entries' },
  { name: 'get', why: 'lease and claim of the bridge' },
  { name: 'set', why: 'lease and claim of the bridge' },
  { name: 'del', why: 'lease and claim of the bridge; topics of clients' },
  { name: 'pexpire', why: 'lease of the bridge, named requests, topics of clients' },
  { name: 'hget', why: 'place of the journal, newest statuses, topics of clients' },
  { name: 'hmget', why: 'epoch of the journal, named requests' },
  { name: 'hgetall', why: 'newest statuses' },
  { name: 'hset', why: 'epoch of the journal, named requests, newest statuses, topics of clients' },
  { name: 'hdel', why: 'newest statuses, topics of clients' },
  { name: 'hexists', why: 'newest statuses' },
  { name: 'hlen', why: 'newest statuses, topics of clients' },
  { name: 'rpush', why: 'topics of clients, in the order in which they expire' },
  { name: 'lpop', why: 'topics of clients' },
  { name: 'lindex', why: 'topics of clients' },
  { name: 'lpush', why: 'messages that were rejected' },
  { name: 'ltrim', why: 'messages that were rejected' },
  { name: 'strlen', why: 'whether the lease and the claim are what they should be' },
  { name: 'llen', why: 'whether topics of clients are what they should be', only: 'after an accident' },
  { name: 'type', why: 'to name in the log what a key holds wrongly', only: 'after an accident' },
  { name: 'rename', why: 'to set aside what a key holds wrongly', only: 'after an accident' },
  { name: 'xsetid', why: 'to go back behind ids that were used up by hand', only: 'after an accident' },
  { name: 'pttl', why: 'for how long the lease is held', only: 'signal-gateway doctor' },
  { name: 'scan', why: 'to find keys that were set aside', only: 'signal-gateway doctor' },
  { name: 'wait', why: 'whether replicas have a message', only: 'JOURNAL_MIN_REPLICAS' },
];

/** What {@link unsupported} asks; a connection or a cluster of ioredis. */
interface Asked {
  info(section: string): Promise<string>;
  call(command: string, ...args: string[]): Promise<unknown>;
}

/** How Redis is used. */
export interface RedisUse {
  readonly kind: Kind;
  /** `JOURNAL_MIN_REPLICAS`. */
  readonly minReplicas: number;
  /** Whether `SIGNAL_STREAM` or `STATUS_STREAM` is set. @default false */
  readonly hasSources?: boolean;
}

/** A server by name and version, such as `Redis 7.0.15` or `Valkey 8.1.8`. */
export interface ServerVersion {
  readonly name: 'Redis' | 'Valkey';
  readonly version: string;
  /** The version of Redis that it takes the place of. */
  readonly asRedis: string;
}

/** Reads what `INFO server` says. @returns `undefined` if that names no version */
export function serverVersion(info: string): ServerVersion | undefined {
  const asRedis = /^redis_version:(\S+)/m.exec(info)?.[1];
  if (asRedis === undefined) return undefined;
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
  return valkey === undefined
    ? { name: 'Redis', version: asRedis, asRedis }
    : { name: 'Valkey', version: valkey, asRedis };
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [needMajor = 0, needMinor = 0] = than.split('.').map(Number);
  return major < needMajor || (major === needMajor && minor < needMinor);
}

/** The names of the commands that are needed for a use. */
export function commandsFor({ kind, minReplicas, hasSources = false }: RedisUse): string[] {
  return REQUIRED_COMMANDS.filter(({ only }) => {
    if (only === 'JOURNAL_MIN_REPLICAS') return minReplicas > 0;
    if (only === 'SIGNAL_STREAM, STATUS_STREAM') return hasSources;
    return only === undefined || only === kind;
  }).map(({ name }) => name);
}

/**
 * Whether a server is too old, or lacks commands (some services switch commands off).
 *
 * @returns what is wrong, with the version that was found and the one that is needed; `undefined` if nothing is, or if the
 *   server does not say
 * @throws what the connection says when it is lost meanwhile
 */
export async function unsupported(redis: Asked, use: RedisUse): Promise<RedisFault | undefined> {
  const found = serverVersion(await unlessRefused(redis.info('server'), ''));
  const server = found === undefined ? 'This server' : `This server is ${found.name} ${found.version}, which`;
  const { version: needed, because } = MIN_VERSIONS[use.kind];
  if (found !== undefined && isOlder(found.asRedis, needed)) {
    const where = use.kind === 'cluster' ? ' for a cluster' : '';
    return faultFor('unsupported', `${server} is too old: Redis ${needed} or later is needed${where}, for ${because}`);
  }
  const names = commandsFor(use);
  const known = (await unlessRefused(redis.call('COMMAND', 'INFO', ...names), [])) as unknown[];
  const missing = names.filter((_, index) => known[index] === null);
  if (missing.length === 0) return undefined;
  const list = missing.map((name) => name.toUpperCase()).join(', ');
  return faultFor('unsupported', `${server} does not know ${list}, which the gateway needs`);
}

/** As {@link unsupported}. @throws {@link RedisFaultError} with what is wrong */
export async function requireSupport(redis: Asked, use: RedisUse): Promise<void> {
  const fault = await unsupported(redis, use);
  if (fault !== undefined) throw new RedisFaultError(fault);
}

/** What Redis answers; something else where it refuses the command, as for a user without the right to it. */
async function unlessRefused<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplyError') return otherwise;
    throw error;
  }
}
