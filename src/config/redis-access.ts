import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../errors.js';
import { REDIS_URL_TAKES, type RedisAccess, type RedisTarget, parseRedisUrl } from '../redis/url.js';
import { type Environment, type Variable, type VariableProblem, file, oneOf, text } from './variable.js';

/** How Redis is entered, as far as it does not stand in `REDIS_URL`. */
export const REDIS_ACCESS_VARIABLES = {
  REDIS_TLS_CA: file(),
  REDIS_TLS_CERT: file(),
  REDIS_TLS_KEY: file(),
  REDIS_TLS_SERVERNAME: text(undefined, 'a host name', /^[\w.-]{1,253}$/),
  REDIS_SENTINEL_USER: text(undefined, 'the user for the sentinels'),
  REDIS_SENTINEL_PASSWORD: {
    ...text(undefined, 'the password for the sentinels'),
    secret: true,
  } as Variable<string>,
  REDIS_SENTINEL_TLS: { ...oneOf(['on', 'off'], 'on'), fallback: undefined } as Variable<'on' | 'off'>,
} satisfies Record<string, Variable<unknown>>;

/** A name of {@link REDIS_ACCESS_VARIABLES}; none of them has a default. */
export type RedisAccessName = keyof typeof REDIS_ACCESS_VARIABLES;

type Values = {
  readonly [K in RedisAccessName]?: (typeof REDIS_ACCESS_VARIABLES)[K] extends Variable<infer T> ? T : never;
};

/** What the variables say together; empty if none is set. */
function redisAccessOf(v: Values): { readonly access?: RedisAccess } {
  if (Object.keys(REDIS_ACCESS_VARIABLES).every((name) => v[name as RedisAccessName] === undefined)) return {};
  const access = Object.freeze<RedisAccess>({
    caFile: v.REDIS_TLS_CA,
    certFile: v.REDIS_TLS_CERT,
    keyFile: v.REDIS_TLS_KEY,
    servername: v.REDIS_TLS_SERVERNAME,
    sentinelUser: v.REDIS_SENTINEL_USER,
    sentinelPassword: v.REDIS_SENTINEL_PASSWORD,
    sentinelTls: v.REDIS_SENTINEL_TLS === undefined ? undefined : v.REDIS_SENTINEL_TLS === 'on',
  });
  return { access };
}

/** A target with how it is entered. */
export function withAccess(target: RedisTarget, values: Values): RedisTarget {
  return { ...target, ...redisAccessOf(values) };
}

/**
 * Reads a `REDIS_URL` together with the variables about Redis, for a command that needs no other settings.
 *
 * @returns where Redis is, or what is wrong
 */
export function readRedisTarget(url: string, env: Environment): RedisTarget | VariableProblem {
  const target = parseRedisUrl(url);
  if (target === undefined) return { variable: 'REDIS_URL', got: '(hidden)', takes: REDIS_URL_TAKES };
  const values: Record<string, unknown> = {};
  for (const [variable, { schema, takes, secret }] of Object.entries<Variable<unknown>>(REDIS_ACCESS_VARIABLES)) {
    const raw = env[variable];
    if (!raw) continue;
    const result = schema.safeParse(raw);
    if (!result.success) return { variable, got: secret ? '(hidden)' : JSON.stringify(raw), takes };
    values[variable] = result.data;
  }
  const [problem] = redisMismatches({ ...env, REDIS_URL: url });
  return problem ?? withAccess(target, values);
}

/** Whether TLS is spoken with the servers, and with the sentinels. */
function spoken(env: Environment): { kind: RedisTarget['kind'] | undefined; servers: boolean; sentinels: boolean } {
  const target = parseRedisUrl(env['REDIS_URL'] ?? '');
  const servers = target?.tls === true;
  const set = env['REDIS_SENTINEL_TLS'];
  return { kind: target?.kind, servers, sentinels: target?.kind === 'sentinel' && (set ? set === 'on' : servers) };
}

/** What is wrong with the variables about Redis that are each valid, but do not go together. */
export function redisMismatches(env: Environment): VariableProblem[] {
  const problems: VariableProblem[] = [];
  const shown = (variable: RedisAccessName): string =>
    variable === 'REDIS_SENTINEL_PASSWORD' ? '(hidden)' : JSON.stringify(env[variable]);
  const refuses = (variable: RedisAccessName, takes: string): void =>
    void problems.push({ variable, got: shown(variable), takes });
  const { kind, servers, sentinels } = spoken(env);
  for (const name of ['REDIS_SENTINEL_USER', 'REDIS_SENTINEL_PASSWORD', 'REDIS_SENTINEL_TLS'] as const) {
    if (env[name] && kind !== 'sentinel')
      refuses(name, 'nothing, since REDIS_URL is not redis-sentinel:// or rediss-sentinel://');
  }
  if (env['REDIS_SENTINEL_USER'] && !env['REDIS_SENTINEL_PASSWORD'])
    problems.push({
      variable: 'REDIS_SENTINEL_PASSWORD',
      got: 'nothing',
      takes: 'a password, since REDIS_SENTINEL_USER is set',
    });
  for (const name of ['REDIS_TLS_CA', 'REDIS_TLS_CERT', 'REDIS_TLS_KEY', 'REDIS_TLS_SERVERNAME'] as const) {
    if (env[name] && !servers && !sentinels)
      refuses(
        name,
        'nothing, since REDIS_URL does not ask for TLS: write rediss://, rediss-sentinel:// or rediss-cluster://',
      );
  }
  const pair = [env['REDIS_TLS_CERT'], env['REDIS_TLS_KEY']] as const;
  if (pair[0] && !pair[1])
    problems.push({ variable: 'REDIS_TLS_KEY', got: 'nothing', takes: 'a file, since REDIS_TLS_CERT is set' });
  if (pair[1] && !pair[0])
    problems.push({ variable: 'REDIS_TLS_CERT', got: 'nothing', takes: 'a file, since REDIS_TLS_KEY is set' });
  if (problems.length === 0) problems.push(...fileProblems(env));
  return problems;
}

/** Files that can be read, but hold something else. */
function fileProblems(env: Environment): VariableProblem[] {
  const { REDIS_TLS_CA: ca, REDIS_TLS_CERT: cert, REDIS_TLS_KEY: key } = env;
  const problems: VariableProblem[] = [];
  const attempt = (variable: RedisAccessName, takes: string, load: () => unknown): void => {
    try {
      load();
    } catch (error) {
      // A file that cannot be read is reported with the value of its variable.
      if ((error as NodeJS.ErrnoException).syscall !== undefined) return;
      problems.push({ variable, got: JSON.stringify(env[variable]), takes: `${takes} (${messageOf(error)})` });
    }
  };
  if (ca) attempt('REDIS_TLS_CA', 'a PEM file of certificates', () => certificatesIn(readFileSync(ca, 'utf8')));
  if (cert && key)
    attempt('REDIS_TLS_CERT', 'a PEM certificate that belongs to the key in REDIS_TLS_KEY', () =>
      createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) }),
    );
  return problems;
}

function certificatesIn(pem: string): void {
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error('it holds no certificate');
  createSecureContext({ ca: pem });
}
