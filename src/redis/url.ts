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

/** How Redis is entered, as far as it does not stand in `REDIS_URL`. */
export interface RedisAccess {
  /** PEM files: certificate authorities, and the certificate of this client with its key. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** The name that certificates of servers must be for, and that is sent as SNI. Unset: that of the address. */
  readonly servername?: string | undefined;
  /** User and password of the sentinels; those in `REDIS_URL` are of the servers. */
  readonly sentinelUser?: string | undefined;
  readonly sentinelPassword?: string | undefined;
  /** Whether the sentinels speak TLS. Unset: as the servers do. */
  readonly sentinelTls?: boolean | undefined;
}

interface Common extends Credentials {
  /** Whether the servers, and with them the sentinels, speak TLS. */
  readonly tls: boolean;
  readonly access?: RedisAccess;
}

/** Where Redis is, as read from `REDIS_URL`, and how it is entered. */
export type RedisTarget =
  | ({ readonly kind: 'single'; readonly node: HostPort; readonly db: number } & Common)
  | ({
      readonly kind: 'sentinel';
      readonly sentinels: readonly HostPort[];
      readonly name: string;
      readonly db: number;
    } & Common)
  | ({ readonly kind: 'cluster'; readonly nodes: readonly HostPort[] } & Common);

/** The forms that `REDIS_URL` may have, for people. */
export const REDIS_URL_TAKES =
  'redis://[user:password@]host[:port][/db], redis-sentinel://[user:password@]h1:p,h2:p/name[/db] or redis-cluster://[user:password@]h1:p,h2:p; rediss://, rediss-sentinel:// and rediss-cluster:// for TLS';

const URL_SHAPE = /^(rediss?)(-sentinel|-cluster)?:\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/;

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
  const [, scheme, kind, userInfo, hostList = '', path = ''] = match;
  const credentials = parseCredentials(userInfo);
  if (credentials === undefined) return undefined;
  const hosts: HostPort[] = [];
  for (const part of hostList.split(',')) {
    const host = parseHost(part, kind === '-sentinel' ? 26_379 : 6379);
    if (host === undefined) return undefined;
    hosts.push(host);
  }
  const [first] = hosts;
  if (first === undefined) return undefined;

  const common = { tls: scheme === 'rediss', ...credentials };
  // A cluster has no numbered databases.
  if (kind === '-cluster') return path === '' ? { kind: 'cluster', nodes: hosts, ...common } : undefined;
  if (kind === '-sentinel') {
    const [name = '', dbText = '', ...rest] = path.split('/');
    const db = parseDb(dbText);
    if (name === '' || db === undefined || rest.length > 0) return undefined;
    return { kind: 'sentinel', sentinels: hosts, name, db, ...common };
  }
  const db = parseDb(path);
  if (db === undefined || hosts.length > 1) return undefined;
  return { kind: 'single', node: first, db, ...common };
}

/** Writes an address; IPv6 in brackets. */
export function addressText({ host, port }: HostPort): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function list(hosts: readonly HostPort[]): string {
  return hosts.map((host) => addressText(host)).join(',');
}

function dbPart(db: number): string {
  return db === 0 ? '' : `/${db}`;
}

/** A target without its secrets, for logs, banners and errors. */
export function describeRedis(target: RedisTarget): string {
  const scheme = target.tls ? 'rediss' : 'redis';
  switch (target.kind) {
    case 'single':
      return `${scheme}://${list([target.node])}${dbPart(target.db)}`;
    case 'sentinel':
      return `${scheme}-sentinel://${list(target.sentinels)}/${target.name}${dbPart(target.db)}`;
    case 'cluster':
      return `${scheme}-cluster://${list(target.nodes)}`;
  }
}
