import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { Cluster, type Redis } from 'ioredis';
import { EXIT, StartError } from '../errors.js';
import type { HostPort } from './url.js';

/** A node in the answer to `CLUSTER SLOTS`: host, port, id and, from Redis 7, names and values such as `ip`. */
type SlotsNode = [host: string | null, port: number, id?: string, more?: readonly string[]];
type SlotsRange = [from: number, to: number, ...nodes: SlotsNode[]];
type SlotsCallback = (error: Error | null | undefined, ranges?: SlotsRange[]) => void;

/** What ioredis asks a node of a cluster for its slots with. */
interface SlotsAsker {
  readonly options: { readonly host?: string };
  duplicate(options: object): Pick<Redis, 'on' | 'disconnect'> & {
    cluster(subcommand: 'SLOTS', callback: SlotsCallback): unknown;
  };
}

/** The private members of ioredis's `Cluster` that are used here. */
interface ClusterInternals {
  getInfoFromNode(node: SlotsAsker | undefined, callback: (error?: Error) => void): void;
  handleError(error: Error, ttl: object, handlers: object): void;
}

const INTERNALS = ['getInfoFromNode', 'handleError'] as const;
const LOOKUP_LIMIT_MS = 500;
/** How long the answer about a name counts. */
const LOOKUP_KEPT_MS = 30_000;

/** How a node is reached that announces no host, or one that has no address. */
export interface Endpoint extends HostPort {
  /** The name that its certificate is for, where it is reached by address instead. */
  readonly servername?: string;
}

/**
 * Finds out how the nodes of a cluster are reached, whatever they announce: nothing (`unknown-endpoint`: then at the
 * address that was asked), `?` (a node without a host name) or a name that has no address (then at the address that the
 * cluster knows it by, or at the one that was asked).
 */
export class ClusterEndpoints {
  /** By what was announced, `host:port`. */
  #known = new Map<string, Endpoint>();
  readonly #names = new Map<string, { readonly hasAddress: Promise<boolean>; readonly atMs: number }>();
  #asked = '';

  /** Puts hosts that can be reached into an answer to `CLUSTER SLOTS`. @param asked - the host that gave it */
  async resolve(ranges: readonly SlotsRange[], asked: string): Promise<SlotsRange[]> {
    const nodes = ranges.flatMap(([, , ...listed]) => listed);
    const isUnknown = new Map<string, boolean>();
    for (const [host] of nodes) isUnknown.set(host ?? '', !(await this.#hasAddress(host)));
    const unknownIds = new Map<number, Set<string>>();
    for (const [host, port, id = ''] of nodes) {
      if (!isUnknown.get(host ?? '')) continue;
      unknownIds.set(port, (unknownIds.get(port) ?? new Set()).add(id));
    }
    this.#asked = asked;
    this.#known = new Map();
    const reached = (node: SlotsNode): SlotsNode => {
      const [announced, port, ...rest] = node;
      if (!isUnknown.get(announced ?? '')) return node;
      // Several nodes cannot be at one address.
      const canBeAsked = isNothing(announced) && announced !== '?' && unknownIds.get(port)?.size === 1;
      const host = canBeAsked ? asked : (addressOf(node) ?? asked);
      const servername = isNothing(announced) ? undefined : announced;
      this.#known.set(`${announced ?? ''}:${port}`, { host, port, ...(servername !== undefined && { servername }) });
      return [host, port, ...rest];
    };
    return ranges.map(([from, to, ...listed]) => [from, to, ...listed.map(reached)]);
  }

  /** A redirect (`MOVED`, `ASK`) with a host that can be reached. */
  redirect(error: Error): Error {
    const [, what = '', slot = '', announced = ''] = /^(MOVED|ASK) (\d+) (\S*:\d+)$/.exec(error.message) ?? [];
    if (what === '') return error;
    const colon = announced.lastIndexOf(':');
    const known =
      this.#known.get(announced) ??
      (isNothing(announced.slice(0, colon)) && this.#asked !== ''
        ? { host: this.#asked, port: Number(announced.slice(colon + 1)) }
        : undefined);
    if (known === undefined) return error;
    const better = new Error(`${what} ${slot} ${known.host}:${known.port}`);
    better.name = error.name;
    return better;
  }

  /** The name that the certificate of a node is for that is reached by another one. */
  servernameOf(host: string, port: number): string | undefined {
    for (const known of this.#known.values()) {
      if (known.host === host && known.port === port) return known.servername;
    }
    return undefined;
  }

  async #hasAddress(host: string | null): Promise<boolean> {
    if (isNothing(host)) return false;
    if (isIP(host) !== 0) return true;
    const nowMs = performance.now();
    const kept = this.#names.get(host);
    if (kept !== undefined && nowMs - kept.atMs < LOOKUP_KEPT_MS) return kept.hasAddress;
    const hasAddress = inTime(
      lookup(host).then(
        () => true,
        // Of a name server that is away nothing follows.
        (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOTFOUND',
      ),
    );
    this.#names.set(host, { hasAddress, atMs: nowMs });
    return hasAddress;
  }
}

/** Whether a node announces no host. */
function isNothing(host: string | null): host is null | '' | '?' {
  return host === null || host === '' || host === '?';
}

/** The address by which the cluster knows a node. */
function addressOf([, , , more = []]: SlotsNode): string | undefined {
  const ip = more[more.indexOf('ip') + 1];
  return more.includes('ip') && ip !== undefined && isIP(ip) !== 0 ? ip : undefined;
}

/** A name that takes long to look up is taken for good. */
async function inTime(answer: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, LOOKUP_LIMIT_MS, true);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

async function answerResolved(
  endpoints: ClusterEndpoints,
  { ranges, asked }: { readonly ranges: SlotsRange[]; readonly asked: string },
  callback: SlotsCallback,
): Promise<void> {
  let resolved: SlotsRange[];
  try {
    resolved = await endpoints.resolve(ranges, asked);
  } catch (error) {
    callback(error as Error);
    return;
  }
  callback(null, resolved);
}

/** The node, whose answer about slots goes through `resolve` first. */
function withEndpoints(node: SlotsAsker, endpoints: ClusterEndpoints): SlotsAsker {
  return {
    options: node.options,
    duplicate: (options) => {
      const asker = node.duplicate(options);
      return {
        on: asker.on.bind(asker),
        disconnect: asker.disconnect.bind(asker),
        cluster: (subcommand, callback) =>
          asker.cluster(subcommand, (error, ranges) => {
            if (error || ranges === undefined) callback(error, ranges);
            else void answerResolved(endpoints, { ranges, asked: node.options.host ?? '' }, callback);
          }),
      };
    },
  };
}

type ClusterOptions = NonNullable<ConstructorParameters<typeof Cluster>[1]>;

const BaseCluster = Cluster as unknown as new (nodes: HostPort[], options: ClusterOptions) => ClusterInternals;

/** ioredis leaves out nodes without a host, and takes an empty host in a redirect for this machine. */
class ReachableCluster extends BaseCluster {
  readonly #endpoints: ClusterEndpoints;

  constructor(nodes: HostPort[], options: ClusterOptions, endpoints: ClusterEndpoints) {
    super(nodes, { ...options, lazyConnect: true });
    this.#endpoints = endpoints;
  }

  override getInfoFromNode(node: SlotsAsker | undefined, callback: (error?: Error) => void): void {
    super.getInfoFromNode(node && withEndpoints(node, this.#endpoints), callback);
  }

  override handleError(error: Error, ttl: object, handlers: object): void {
    super.handleError(this.#endpoints.redirect(error), ttl, handlers);
  }
}

/**
 * A client of a cluster that also reaches nodes which announce no host, or one without an address.
 *
 * @param tlsFor - TLS options for a node with a certificate for this name
 */
export function createCluster(
  nodes: readonly HostPort[],
  options: ClusterOptions,
  tlsFor: (servername: string) => object | undefined,
): Cluster {
  const members = Cluster.prototype as unknown as Record<string, unknown>;
  const missing = INTERNALS.find((name) => typeof members[name] !== 'function');
  if (missing !== undefined) {
    throw new StartError(`This ioredis has no Cluster.${missing}, which the gateway needs. Install 6.0.`, EXIT.failed);
  }
  const endpoints = new ClusterEndpoints();
  const natMap = (key: string): HostPort | null => {
    const colon = key.lastIndexOf(':');
    const node = { host: key.slice(0, colon), port: Number(key.slice(colon + 1)) };
    const servername = endpoints.servernameOf(node.host, node.port);
    const tls = servername === undefined ? undefined : tlsFor(servername);
    // ioredis takes every option of a connection here.
    return tls === undefined ? null : ({ ...node, tls } as HostPort);
  };
  const all: ClusterOptions = {
    ...options,
    // Names are looked up at each connection, so that certificates are checked against them.
    dnsLookup: (name, callback) => callback(null, name),
    natMap,
  };
  const cluster = new ReachableCluster(
    nodes.map((node) => ({ ...node })),
    all,
    endpoints,
  ) as unknown as Cluster;
  // Not before the constructor is through: connecting uses the endpoints.
  if (options.lazyConnect !== true) cluster.connect().catch(() => {});
  return cluster;
}
