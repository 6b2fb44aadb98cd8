import type { RedisCommands } from './connections.js';
import type { DoctorFinding } from './doctor-finding.js';
import { faultOf } from './fault.js';
import { keyBase } from './gateway-keys.js';
import { luaScript } from './lua-script.js';

const serverInfoScript = luaScript(new URL('./lua/server-info.lua', import.meta.url));

/** Keys that a search for those that were set aside looks at, at most. */
const MAX_SCANNED = 2_000_000;
const SCAN_COUNT = 5000;

function valueIn(info: string, field: string): string | undefined {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/** What INFO says of memory, persistence and replication. */
function fromInfo(info: string): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  const version = valueIn(info, 'valkey_version') ?? valueIn(info, 'redis_version') ?? 'of an unknown version';
  const kind = valueIn(info, 'valkey_version') === undefined ? 'Redis' : 'Valkey';
  const replicas = valueIn(info, 'connected_slaves') ?? '0';
  findings.push({ code: 'server', level: 'note', what: `The server is ${kind} ${version} with ${replicas} replicas.` });
  if (valueIn(info, 'role') === 'slave') {
    findings.push({
      code: 'replica',
      level: 'wrong',
      what: 'This server is a replica, and a gateway writes.',
      advice: 'Point REDIS_URL at the primary, or at the sentinels.',
    });
  }
  const policy = valueIn(info, 'maxmemory_policy');
  const limit = Number(valueIn(info, 'maxmemory') ?? 0);
  if (policy !== undefined && policy !== 'noeviction') {
    findings.push({
      code: 'eviction',
      level: limit > 0 ? 'wrong' : 'note',
      what: `maxmemory-policy is ${policy}: a full Redis may remove keys of the gateway.`,
      advice: 'CONFIG SET maxmemory-policy noeviction, and write it into redis.conf.',
    });
  }
  const saved = valueIn(info, 'rdb_last_bgsave_status');
  if (saved !== undefined && saved !== 'ok') {
    findings.push({
      code: 'snapshot',
      level: 'wrong',
      what: `The last snapshot failed (rdb_last_bgsave_status:${saved}).`,
      advice: 'Free the disk, and see the log of Redis.',
    });
  }
  if (valueIn(info, 'aof_enabled') === '0') {
    findings.push({
      code: 'no_aof',
      level: 'note',
      what: 'There is no append-only file: a restart loses what was added since the last snapshot, or everything.',
      advice: 'CONFIG SET appendonly yes, and write it into redis.conf.',
    });
  }
  return findings;
}

/** Tries a write that changes nothing: it sets a key only if that exists, and it does not. */
async function tryWrite(redis: RedisCommands, prefix: string): Promise<DoctorFinding[]> {
  try {
    await redis.set(`${keyBase(prefix)}doctor`, '1', 'XX');
    return [];
  } catch (error) {
    const { reason, advice } = faultOf(error);
    return [
      { code: 'writes_refused', level: 'wrong', what: `Redis refuses writes: ${reason.replace(/\.$/, '')}.`, advice },
    ];
  }
}

/** Whether the slot of the gateway is being moved from one node of a cluster to another. */
async function lookAtSlot(redis: RedisCommands, prefix: string): Promise<DoctorFinding[]> {
  if (!('nodes' in redis)) return [];
  const findings: DoctorFinding[] = [];
  try {
    const slot = await redis.cluster('KEYSLOT', `${keyBase(prefix)}meta`);
    for (const node of redis.nodes('master')) {
      const text = String(await node.call('CLUSTER', 'NODES'));
      const own = text.split('\n').find((line) => line.includes('myself')) ?? '';
      const open = new RegExp(`\\[${slot}-([<>])-`).exec(own)?.[1];
      if (open === undefined) continue;
      const state = open === '>' ? 'MIGRATING' : 'IMPORTING';
      findings.push({
        code: 'slot_open',
        level: 'wrong',
        what: `Slot ${slot}, in which the keys are, is left ${state} on ${node.options.host}:${node.options.port}.`,
        advice: 'Let the move end, or end it: redis-cli --cluster fix.',
      });
    }
  } catch (error) {
    // The user of a gateway needs neither command.
    const what = `Whether the slot of the keys is left half moved was not checked: ${faultOf(error).reason}.`;
    findings.push({ code: 'slot_unknown', level: 'note', what });
  }
  return findings;
}

/** Keys that were set aside and lie around. */
async function lookForSetAside(redis: RedisCommands, prefix: string): Promise<DoctorFinding[]> {
  const pattern = `${keyBase(prefix)}set-aside:*`.replaceAll(/[[\]?\\]/g, String.raw`\$&`);
  const found: string[] = [];
  const nodes = 'nodes' in redis ? redis.nodes('master') : [redis];
  let scanned = 0;
  try {
    for (const node of nodes) {
      let cursor = '0';
      do {
        const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
        found.push(...keys);
        cursor = next;
        scanned += SCAN_COUNT;
      } while (cursor !== '0' && scanned < MAX_SCANNED);
    }
  } catch (error) {
    const what = `Keys that were set aside were not looked for: ${faultOf(error).reason}.`;
    return [{ code: 'set_aside_unknown', level: 'note', what }];
  }
  if (found.length === 0) return [];
  const what = `Keys that were set aside lie around: ${found.toSorted().join(', ')}.`;
  return [{ code: 'set_aside', level: 'note', what, advice: 'Look at them, and DEL those that nobody misses.' }];
}

/**
 * Looks at the server that holds the keys of a gateway. Changes nothing.
 *
 * @param prefix - `REDIS_KEY_PREFIX`
 * @throws what the connection says
 */
export async function examineServer(redis: RedisCommands, prefix: string): Promise<DoctorFinding[]> {
  const findings: DoctorFinding[] = [];
  try {
    const info = await serverInfoScript.run(redis, [`${keyBase(prefix)}meta`], []);
    findings.push(...fromInfo(String(info)));
  } catch (error) {
    const { code, reason, advice } = faultOf(error);
    if (code !== 'no_permission' && code !== 'slot') throw error;
    findings.push({ code: 'server_unknown', level: 'note', what: `The server was not examined: ${reason}.`, advice });
  }
  findings.push(...(await lookAtSlot(redis, prefix)));
  findings.push(...(await tryWrite(redis, prefix)));
  findings.push(...(await lookForSetAside(redis, prefix)));
  return findings;
}
