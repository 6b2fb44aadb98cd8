import { Redis, type RedisOptions } from 'ioredis';
import { withTimeout } from '../deadline.js';
import { type RedisFault, type RedisFaultCode, faultFor, faultOf } from './fault.js';
import type { RedisTls } from './tls.js';
import { type HostPort, type RedisTarget, addressText } from './url.js';

/** ioredis types an absent `replyMapping` so that it cannot be spread under exact optional types. */
type Options = Omit<RedisOptions, 'replyMapping'>;

/** One step on the way into Redis. */
export interface AccessStep {
  /** Who was asked: a sentinel, or a server. */
  readonly name: string;
  /** What is wrong there; unset if nothing is. */
  readonly fault?: RedisFault;
  /** Whether Redis can be used without this one, as with one sentinel of three. */
  readonly isOptional?: boolean;
}

const STEP_LIMIT_MS = 2500;
const SENTINEL_PASSWORD =
  'Set REDIS_SENTINEL_PASSWORD, and REDIS_SENTINEL_USER if it has one, to what the sentinels take. User and password in REDIS_URL are for the servers.';
const SERVER_PASSWORD = 'Correct user:password in REDIS_URL. It is checked by the servers, not by sentinels.';

/** What went wrong, as the middle of a sentence. */
const VERBS: Partial<Record<RedisFaultCode, string>> = {
  no_permission: 'does not allow this user what is needed',
  dns: 'cannot be found in the DNS',
  tls: 'failed at TLS',
  unreachable: 'cannot be reached',
  no_answer: 'does not answer',
};

function verb({ code, reason }: RedisFault): string {
  if (code === 'password') return reason.includes('NOAUTH') ? 'asks for a password' : 'refused the password';
  return VERBS[code] ?? 'answered with an error';
}

/** The fault of a step, with who was asked. */
function stepFault(name: string, isSentinel: boolean, error: unknown): RedisFault {
  const fault = faultOf(error);
  if (isSentinel && /unknown command/i.test(fault.reason))
    return faultFor('no_primary', `${name} is not a sentinel: it does not know the command SENTINEL`);
  const passwordAdvice = isSentinel ? SENTINEL_PASSWORD : SERVER_PASSWORD;
  return {
    code: fault.code,
    reason: `${name} ${verb(fault)}: ${fault.reason.replace(/[\s.]+$/, '')}`,
    advice: fault.code === 'password' ? passwordAdvice : fault.advice,
  };
}

/** Asks one server or sentinel over a plain connection, whose errors are those of this server alone. */
async function ask<T>(options: Options, question: (connection: Redis) => Promise<T>): Promise<T> {
  const connection = new Redis({
    ...options,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: null,
    maxRetriesPerRequest: 0,
    connectTimeout: STEP_LIMIT_MS,
    protocol: 2,
  });
  let first: Error | undefined;
  connection.on('error', (error: Error) => (first ??= error));
  try {
    return await withTimeout(
      STEP_LIMIT_MS,
      'an answer',
      connection.connect().then(() => question(connection)),
    );
  } catch (error) {
    const reason = first ?? error;
    if (options.tls || !/connection is closed|ECONNRESET/i.test(String(reason))) throw reason;
    throw new Error('the connection was closed without an answer, as by a server that speaks TLS only', {
      cause: error,
    });
  } finally {
    connection.disconnect();
  }
}

/** Follows the way into Redis, step by step, as a gateway takes it. */
export class Diagnosis {
  readonly #target: RedisTarget;
  readonly #tls: RedisTls;

  constructor(target: RedisTarget, tls: RedisTls) {
    this.#target = target;
    this.#tls = tls;
  }

  /** Takes all steps; those after one that all others need are not taken when it fails. Never rejects. */
  async steps(): Promise<AccessStep[]> {
    const target = this.#target;
    switch (target.kind) {
      case 'single':
        return [await this.#server(target.node)];
      case 'sentinel':
        return this.#throughSentinels(target);
      case 'cluster':
        return this.#throughNodes(target.nodes);
    }
  }

  /** What is wrong, or `undefined` if nothing is found. */
  async fault(): Promise<RedisFault | undefined> {
    const steps = await this.steps();
    return steps.find(({ fault, isOptional }) => fault !== undefined && isOptional !== true)?.fault;
  }

  #serverOptions(node: HostPort): Options {
    const { username, password } = this.#target;
    const tls = this.#tls.forServers();
    const db = this.#target.kind === 'cluster' ? 0 : this.#target.db;
    return {
      ...node,
      db,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(tls && { tls }),
    };
  }

  /** A server that takes writes. */
  async #server(node: HostPort, told = ''): Promise<AccessStep> {
    const name = `server ${addressText(node)}${told}`;
    try {
      const info = await ask(this.#serverOptions(node), async (connection) => {
        await connection.ping();
        return connection.info('replication').catch(() => '');
      });
      const isReplica = this.#target.kind !== 'cluster' && info.includes('role:slave');
      return isReplica
        ? { name, fault: faultFor('read_only', `${name} is a replica, and the gateway writes`) }
        : { name };
    } catch (error) {
      return { name, fault: stepFault(name, false, error) };
    }
  }

  async #throughSentinels(target: Extract<RedisTarget, { kind: 'sentinel' }>): Promise<AccessStep[]> {
    const { sentinelUser: username, sentinelPassword: password } = target.access ?? {};
    const tls = this.#tls.forSentinels();
    const access = {
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(tls && { tls }),
    };
    let primary: HostPort | undefined;
    let told = '';
    const steps = await Promise.all(
      target.sentinels.map(async (sentinel): Promise<AccessStep> => {
        const name = `sentinel ${addressText(sentinel)}`;
        try {
          const answer = await ask({ ...sentinel, ...access }, (connection) =>
            connection.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', target.name),
          );
          if (!Array.isArray(answer)) {
            return { name, fault: faultFor('no_primary', `${name} knows no primary named ${target.name}`) };
          }
          primary = { host: String(answer[0]), port: Number(answer[1]) };
          told = `, the primary by ${name}`;
          return { name };
        } catch (error) {
          return { name, fault: stepFault(name, true, error) };
        }
      }),
    );
    if (primary === undefined) return steps;
    return [...steps.map((step) => ({ ...step, isOptional: true })), await this.#server(primary, told)];
  }

  async #throughNodes(seeds: readonly HostPort[]): Promise<AccessStep[]> {
    const steps = await Promise.all(
      seeds.map(async (node): Promise<AccessStep> => {
        const name = `server ${addressText(node)}`;
        try {
          const info = await ask(this.#serverOptions(node), async (connection) => {
            await connection.cluster('SLOTS');
            return connection.cluster('INFO');
          });
          if (!info.includes('cluster_state:fail')) return { name };
          return { name, fault: faultFor('cluster_down', `${name} says that the cluster does not serve all slots`) };
        } catch (error) {
          return { name, fault: stepFault(name, false, error) };
        }
      }),
    );
    const isOptional = steps.some(({ fault }) => fault === undefined);
    return steps.map((step) => ({ ...step, isOptional }));
  }
}
