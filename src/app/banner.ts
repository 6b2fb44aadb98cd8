import { type RedisTarget, describeRedis } from '../redis/url.js';

/** What the banner shows. */
export interface BannerFacts {
  readonly version: string;
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly redis: RedisTarget | undefined;
  readonly signalChannel: string;
  readonly needsKey: boolean;
  readonly dashboard: boolean;
  /** What the dashboard publishes with; `undefined` if there is no dashboard, or `API_KEY` is set. */
  readonly publishToken: string | undefined;
  /** The prefix of every path of the public port, such as `/feed`. @default '' */
  readonly basePath?: string;
}

/** An address that can be opened: a wildcard address cannot. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * The address of the dashboard. The token stands after the `#`, which browsers send to nobody: no server, proxy or foreign
 * log sees it.
 */
export function dashboardLink(facts: Pick<BannerFacts, 'tls' | 'host' | 'port' | 'publishToken' | 'basePath'>): string {
  const { tls, host, port, publishToken, basePath = '' } = facts;
  const page = `${tls ? 'https' : 'http'}://${reachable(host)}:${port}${basePath}/`;
  return publishToken === undefined ? page : `${page}#publish=${publishToken}`;
}

/** A signal for the command that a newcomer pastes. */
function sampleSignal(): string {
  return JSON.stringify({
    type: 'QUANTUM_CIPHER',
    signal: 'BUY',
    price: 162.5,
    symbol: 'BTC/USDT',
    timeframe: '1m',
    timestamp: new Date().toISOString(),
  });
}

/** A text as one word of a POSIX shell. */
function quoted(text: string): string {
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The shell command that publishes one signal. */
export function publishLine(facts: BannerFacts): string {
  const signal = sampleSignal();
  if (facts.redis?.kind === 'single' && !facts.redis.tls && facts.redis.password === undefined) {
    const { host, port } = facts.redis.node;
    return `redis-cli -h ${host} -p ${port} PUBLISH ${quoted(facts.signalChannel)} '${signal}'`;
  }
  // API_KEY may be a list: the shell takes its first key.
  const key = facts.needsKey ? ` -H "authorization: Bearer \${API_KEY%%,*}"` : '';
  const url = `http://${reachable(facts.adminHost)}:${facts.adminPort}/v1/signals`;
  return `curl -s ${url}${key} -H 'content-type: application/json' -d '${signal}'`;
}

/** What is printed when the gateway serves. */
export function banner(facts: BannerFacts): string {
  const http = facts.tls ? 'https' : 'http';
  const path = facts.basePath ? `   (path: '${facts.basePath}/socket.io/')` : '';
  const mode =
    facts.redis === undefined ? 'embedded (one pod, journal in memory, no Redis)' : describeRedis(facts.redis);
  return [
    '',
    `  signal-gateway ${facts.version}`,
    '',
    `  Socket.IO   ${http}://${reachable(facts.host)}:${facts.port}${path}`,
    `  Admin       http://${reachable(facts.adminHost)}:${facts.adminPort}   (/healthz /readyz /metrics)`,
    ...(facts.dashboard ? [`  Dashboard   ${dashboardLink(facts)}`] : []),
    `  Mode        ${mode}`,
    '',
    '  Publish a signal:',
    `  ${publishLine(facts)}`,
    '',
    '',
  ].join('\n');
}
