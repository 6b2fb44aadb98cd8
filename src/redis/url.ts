import { isIPv6 } from 'node:net';

/** A host and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

interface Credentials {
  readonly username?: string;
  readonly password?: string;
}

/** Where Redis is, as read from `REDIS_URL`. */
export type RedisTarget =
  | ({ readonly kind: 'single'; readonly node: HostPort; readonly db: number; readonly tls: boolean } & Credentials)
  | ({
      readonly kind: 'sentinel';
      readonly sentinels: readonly HostPort[];
      readonly name: string;
      readonly db: number;
    } & Credentials)
  | ({ readonly kind: 'cluster'; readonly nodes: readonly HostPort[] } & Credentials);

/** The forms that `REDIS_URL` may have, for people. */
export const REDIS_URL_TAKES =
  'redis://[user:password@]host[:port][/db], rediss://… (TLS), redis-sentinel://[user:password@]h1:p,h2:p/name[/db] or redis-cluster://[user:password@]h1:p,h2:p';

const URL_SHAPE = /^(redis|rediss|redis-sentinel|redis-cluster):\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/;

function parseHost(text: string, defaultPort: number): HostPort | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:\s[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, address, name, portText] = match;
  const host = address ?? name;
  if (host === undefined || (address !== undefined && !isIPv6(address))) return undefined;
  const port = portText === undefined ? defaultPort : Number(portText);
  if (port < 1 || port > 65_535) return undefined;
  return { host, port };
}

function parseCredentials(text: string | undefined): Credentials | undefined {
  if (text === undefined) return {};
  const colon = text.indexOf(':');
  try {
    const username = decodeURIComponent(colon < 0 ? text : text.slice(0, colon));
    const password = colon < 0 ? '' : decodeURIComponent(text.slice(colon + 1));
    return { ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }) };
  } catch {
    return undefined;
  }
}

function parseDb(text: string): number | undefined {
  if (text === '') return 0;
  return /^\d{1,4}$/.test(text) ? Number(text) : undefined;
}

/**
 * Reads a `REDIS_URL`.
 *
 * @returns where Redis is, or `undefined` if the text has none of the forms in {@link REDIS_URL_TAKES}
 */
export function parseRedisUrl(text: string): RedisTarget | undefined {
  const match = URL_SHAPE.exec(text);
  if (match === null) return undefined;
  const [, scheme, userInfo, hostList = '', path = ''] = match;
  const credentials = parseCredentials(userInfo);
  if (credentials === undefined) return undefined;
  const hosts: HostPort[] = [];
  for (const part of hostList.split(',')) {
    const host = parseHost(part, scheme === 'redis-sentinel' ? 26_379 : 6379);
    if (host === undefined) return undefined;
    hosts.push(host);
  }
  const [first] = hosts;
  if (first === undefined) return undefined;

  if (scheme === 'redis-cluster') {
    return path === '' ? { kind: 'cluster', nodes: hosts, ...credentials } : undefined;
  }
  if (scheme === 'redis-sentinel') {
    const [name = '', dbText = '', ...rest] = path.split('/');
    const db = parseDb(dbText);
    if (name === '' || db === undefined || rest.length > 0) return undefined;
    return { kind: 'sentinel', sentinels: hosts, name, db, ...credentials };
  }
  const db = parseDb(path);
  if (db === undefined || hosts.length > 1) return undefined;
  return { kind: 'single', node: first, db, tls: scheme === 'rediss', ...credentials };
}

function list(hosts: readonly HostPort[]): string {
  return hosts.map(({ host, port }) => `${isIPv6(host) ? `[${host}]` : host}:${port}`).join(',');
}

function dbPart(db: number): string {
  return db === 0 ? '' : `/${db}`;
}

/** A target without its secrets, for logs, banners and errors. */
export function describeRedis(target: RedisTarget): string {
  switch (target.kind) {
    case 'single':
      return `${target.tls ? 'rediss' : 'redis'}://${list([target.node])}${dbPart(target.db)}`;
    case 'sentinel':
      return `redis-sentinel://${list(target.sentinels)}/${target.name}${dbPart(target.db)}`;
    case 'cluster':
      return `redis-cluster://${list(target.nodes)}`;
  }
}
