import type { Config } from '../config/config.js';
import { withTimeout } from '../deadline.js';
import { randomName } from '../random-name.js';
import { type RedisCommands, RedisConnections } from '../redis/connections.js';
import { faultOf } from '../redis/fault.js';
import { type RedisTarget, describeRedis } from '../redis/url.js';

/** The result of one check. */
export interface Finding {
  /** The variable or the part that was checked. */
  readonly name: string;
  readonly ok: boolean;
  /** What was found, and what to do about a problem. */
  readonly detail: string;
}

const NAME = 'REDIS_URL';
const LIMIT_MS = 10_000;

/**
 * Runs commands that the gateway sends, on a key of its own that is gone before the script ends. The answer names those
 * that the user may not run.
 */
const TRY_COMMANDS = `
local refused = {}
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err and not string.find(answer.err, 'WRONGTYPE', 1, true) then
    refused[#refused + 1] = ({...})[1] .. ': ' .. answer.err
  end
end
local key = KEYS[1]
try('time')
try('xadd', key, '*', 'a', 'b') try('xrange', key, '-', '+') try('xrevrange', key, '+', '-') try('xlen', key)
try('xread', 'STREAMS', key, '0') try('xinfo', 'STREAM', key) try('xdel', key, '0-1') try('type', key) try('del', key)
try('hset', key, 'a', 'b') try('hget', key, 'a') try('hmget', key, 'a') try('hgetall', key) try('hexists', key, 'a')
try('hlen', key) try('pexpire', key, 1000) try('hdel', key, 'a') try('del', key)
try('rpush', key, 'a') try('lpush', key, 'b') try('lindex', key, 0) try('ltrim', key, 0, 5) try('lpop', key) try('del', key)
try('set', key, 'a', 'PX', 1000) try('get', key) try('del', key)
return refused
`;

/** Connects as a gateway does, step by step, and tries what it needs. */
export async function checkRedis(config: Config): Promise<Finding[]> {
  const { redis: target } = config;
  if (target === undefined) return [];
  const connections = new RedisConnections(target, 'signal-gateway');
  const findings = (await connections.diagnosis.steps()).map(({ name, fault, isOptional }): Finding => {
    if (fault === undefined) return { name: NAME, ok: true, detail: `${name} answers` };
    if (isOptional === true) return { name: NAME, ok: true, detail: `${fault.reason}; others are asked` };
    return { name: NAME, ok: false, detail: `${fault.reason}. ${fault.advice}` };
  });
  if (findings.some(({ ok }) => !ok)) return findings;
  return [...findings, await checkUse(target, connections, config)];
}

/** Uses Redis through ioredis, as the gateway does. */
async function checkUse(target: RedisTarget, connections: RedisConnections, config: Config): Promise<Finding> {
  const where = describeRedis(target);
  const commands = connections.keyed('check');
  const subscriber = connections.single('check');
  for (const connection of [commands, subscriber]) connection.on('error', () => {});
  const begin = performance.now();
  try {
    const use = async (): Promise<{ refused: string[]; version: string | undefined }> => {
      await commands.connect();
      const refused = await tryCommands(commands, config);
      await subscriber.connect();
      refused.push(...(await trySubscriptions(subscriber, config)));
      const info = await commands.info('server').catch(() => '');
      return { refused, version: /(?:valkey|redis)_version:(\S+)/.exec(info)?.[1] };
    };
    const { refused, version } = await withTimeout(LIMIT_MS, 'an answer', use());
    if (refused.length > 0) {
      const { advice } = faultOf(new Error('NOPERM'));
      return { name: NAME, ok: false, detail: `${where} does not allow: ${refused.join('; ')}. ${advice}` };
    }
    const took = Math.max(1, Math.round(performance.now() - begin));
    const answers = `${where} answers in ${took} ms${version === undefined ? '' : `, Redis ${version}`}`;
    return {
      name: NAME,
      ok: true,
      detail: `${answers}; its user may run the scripts that were tried, and hear the channels`,
    };
  } catch (error) {
    const { reason, advice } = faultOf(await connections.explain(error));
    return { name: NAME, ok: false, detail: `${where} cannot be used: ${reason}. ${advice}` };
  } finally {
    commands.disconnect();
    subscriber.disconnect();
  }
}

async function tryCommands(commands: RedisCommands, { redisKeyPrefix }: Config): Promise<string[]> {
  const key = `{${redisKeyPrefix}}:check:${randomName(9)}`;
  const refused = (await commands.eval(TRY_COMMANDS, 1, key)) as string[];
  // To a channel of the gateway that nobody hears.
  await commands.publish(key, '').catch((error: Error) => refused.push(`publish: ${error.message}`));
  return refused;
}

async function trySubscriptions(subscriber: ReturnType<RedisConnections['single']>, config: Config): Promise<string[]> {
  const refused: string[] = [];
  for (const channel of [config.signalChannel, config.statusChannel, `{${config.redisKeyPrefix}}:canary`])
    await subscriber.subscribe(channel).catch((error: Error) => refused.push(`subscribe ${channel}: ${error.message}`));
  return refused;
}
