import type { RefusalCode } from '../errors.js';
import type { ClientAddress } from './client-address.js';
import type { MemoryPressure } from './memory-pressure.js';
import { clientsByOpenFiles } from './open-files.js';
import { KeyedRate, NOTHING_TAKEN, type Rate, take } from './rate-limit.js';

/** A connection as it is counted. */
interface CountedConnection {
  readonly remoteAddress: string;
  readonly request: { readonly headers: object };
  once(event: 'close', listener: () => void): unknown;
}

/** How many clients are taken, and how fast; 0 is no limit. */
export interface ConnectionLimitsOptions {
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly maxConnectsPerSecond: number;
  readonly maxConnectsPerSecondPerIp: number;
}

/** A second's worth may come at once. */
function rateOf(perSecond: number): Rate | undefined {
  return perSecond > 0 ? { perSecond, burst: perSecond } : undefined;
}

/** Decides whether one more client is taken, before any work is done for it. */
export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions;
  /** Clients that are taken at most, also where no limit was set. */
  readonly #most: number;
  readonly #addresses: ClientAddress;
  readonly #memory: MemoryPressure;
  readonly #connections: () => number;
  readonly #rate: Rate | undefined;
  readonly #rateOfEach: KeyedRate | undefined;
  readonly #countOfEach = new Map<string, number>();
  #paidAt = NOTHING_TAKEN;

  /** @param connections - clients there are now */
  constructor(
    options: ConnectionLimitsOptions,
    addresses: ClientAddress,
    memory: MemoryPressure,
    connections: () => number,
  ) {
    this.#options = options;
    this.#most = Math.min(options.maxConnections || Infinity, clientsByOpenFiles());
    this.#addresses = addresses;
    this.#memory = memory;
    this.#connections = connections;
    this.#rate = rateOf(options.maxConnectsPerSecond);
    const each = rateOf(options.maxConnectsPerSecondPerIp);
    if (each !== undefined) this.#rateOfEach = new KeyedRate(each);
  }

  /**
   * Asks for room for one more client.
   *
   * @param remote - address of its connection
   * @param forwarded - its header `X-Forwarded-For`
   * @returns why there is none
   */
  refusal(remote: () => string, forwarded: () => string): RefusalCode | undefined {
    const { maxConnectionsPerIp } = this.#options;
    if (this.#memory.isHigh) return 'memory';
    if (this.#connections() >= this.#most) return 'max_connections';
    const now = performance.now();
    if (maxConnectionsPerIp > 0 || this.#rateOfEach !== undefined) {
      const address = this.#addresses.of(remote(), forwarded());
      if (maxConnectionsPerIp > 0 && (this.#countOfEach.get(address) ?? 0) >= maxConnectionsPerIp) {
        return 'max_connections_per_ip';
      }
      // Before the rate of all: what one address has too many of must not count against the others.
      if (this.#rateOfEach?.take(address, now) === false) return 'connect_rate_per_ip';
    }
    if (this.#rate === undefined) return undefined;
    const paidAt = take(this.#rate, this.#paidAt, 1, now);
    if (paidAt === undefined) return 'connect_rate';
    this.#paidAt = paidAt;
    return undefined;
  }

  /** Counts a client that was let in, until it is gone. */
  count(connection: CountedConnection): void {
    if (this.#options.maxConnectionsPerIp === 0) return;
    const headers = connection.request.headers as Readonly<Record<string, string | undefined>>;
    const address = this.#addresses.of(connection.remoteAddress, headers['x-forwarded-for'] ?? '');
    const counts = this.#countOfEach;
    counts.set(address, (counts.get(address) ?? 0) + 1);
    connection.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left > 0) counts.set(address, left);
      else counts.delete(address);
    });
  }
}
