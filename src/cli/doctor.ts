import { type Config, ConfigError, loadConfig } from '../config/config.js';
import { withTimeout } from '../deadline.js';
import { EXIT, StartError } from '../errors.js';
import { examineKeys } from '../journal/examine-journal.js';
import { RedisConnections } from '../redis/connections.js';
import type { RedisCommands } from '../redis/connections.js';
import type { DoctorFinding } from '../redis/doctor-finding.js';
import { examineServer } from '../redis/examine-server.js';
import { faultOf } from '../redis/fault.js';
import { describeRedis } from '../redis/url.js';
import { stripControlCharacters, styleFor } from './terminal.js';

/** Options of `doctor`, as commander reads them. */
export interface DoctorOptions {
  readonly json?: boolean;
  readonly repair?: boolean;
}

/** A finding with what was done about it. */
interface Treated extends Omit<DoctorFinding, 'repair'> {
  /** What `--repair` has done. */
  readonly done?: string;
  /** Why it could not. */
  readonly failed?: string;
}

const CONNECT_LIMIT_MS = 10_000;

async function treat({ repair, ...finding }: DoctorFinding, isAsked: boolean): Promise<Treated> {
  if (!isAsked || repair === undefined) return finding;
  try {
    return { ...finding, done: await repair() };
  } catch (error) {
    const { reason, advice } = faultOf(error);
    return { ...finding, failed: `${sentence(reason)} ${advice}` };
  }
}

/** What stands in place of the keys of a server that can be reached, and still does not answer for them. */
function unexamined(error: unknown): DoctorFinding[] {
  const { code, reason, advice } = faultOf(error);
  return [{ code, level: 'wrong', what: `The keys of the gateway cannot be examined: ${sentence(reason)}`, advice }];
}

function sentence(reason: string): string {
  return reason.endsWith('.') ? reason : `${reason}.`;
}

/** Each look after the repairs of the one before: what is wrong with a key hides what is wrong in it. */
async function examine(redis: RedisCommands, config: Config, isRepairing: boolean): Promise<Treated[]> {
  const prefix = config.redisKeyPrefix;
  const treated: Treated[] = [];
  for (const finding of await examineServer(redis, prefix)) treated.push(await treat(finding, isRepairing));
  const gateway = { prefix, maxlen: config.journalMaxEntries };
  const known = new Set<string>();
  for (let round = 0; round < (isRepairing ? 2 : 1); round++) {
    for (const finding of await examineKeys(redis, gateway).catch(unexamined)) {
      // What the first round has found and could not repair.
      if (known.has(finding.what)) continue;
      known.add(finding.what);
      treated.push(await treat(finding, isRepairing));
    }
  }
  return treated;
}

function isWrong({ level, done }: Treated): boolean {
  return level === 'wrong' && done === undefined;
}

function write(where: string, findings: readonly Treated[]): void {
  const style = styleFor(process.stdout);
  const lines = findings.flatMap((finding) => {
    const { level, what, advice, done, failed } = finding;
    const word =
      done === undefined
        ? level === 'wrong'
          ? style('red', 'WRONG ')
          : style('dim', 'note  ')
        : style('green', 'DONE  ');
    const rest = done ?? (failed === undefined ? advice : `Not repaired: ${failed}`);
    return [
      `  ${word}  ${stripControlCharacters(what)}`,
      ...(rest ? [`          ${stripControlCharacters(rest)}`] : []),
    ];
  });
  const wrong = findings.filter(isWrong).length;
  const end = wrong === 0 ? 'Nothing is wrong.' : `${wrong} of these are wrong.`;
  process.stdout.write(`${[where, ...lines, end].join('\n')}\n`);
}

/**
 * The command `doctor`: looks at Redis as a gateway uses it, says what is wrong, and repairs it if asked. Sets the exit code.
 *
 * @throws StartError when the configuration is not valid, or names no Redis
 */
export async function doctor({ json = false, repair = false }: DoctorOptions): Promise<void> {
  let config: Config;
  try {
    config = loadConfig(process.env);
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    process.stdout.write(`${JSON.stringify({ ok: false, problems: error.problems })}\n`);
    process.exitCode = error.exitCode;
    return;
  }
  if (config.redis === undefined)
    throw new StartError('REDIS_URL is not set: there is no Redis to look at.', EXIT.config);
  const where = describeRedis(config.redis);
  const redis = new RedisConnections(config.redis, 'signal-gateway').keyed('doctor');
  let fault: unknown;
  redis.on('error', (error: Error) => (fault = error));
  let findings: readonly Treated[];
  try {
    await withTimeout(CONNECT_LIMIT_MS, 'an answer', redis.connect());
    fault = undefined;
    findings = await examine(redis, config, repair);
  } catch (error) {
    const { code, reason, advice } = faultOf(fault ?? error);
    findings = [{ code, level: 'wrong', what: `${where} cannot be examined: ${sentence(reason)}`, advice }];
  } finally {
    redis.disconnect();
  }
  const ok = !findings.some(isWrong);
  if (json) process.stdout.write(`${JSON.stringify({ ok, redis: where, findings })}\n`);
  else write(where, findings);
  if (!ok) process.exitCode = EXIT.failed;
}
