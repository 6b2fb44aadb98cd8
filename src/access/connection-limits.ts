import type { RefusalCode } from '../errors.js';
import type { ClientAddress } from './client-address.js';
import type { MemoryPressure } from './memory-pressure.js';
import { clientsByOpenFiles } from './open-files.js';
import { KeyedRate, NOTHING_TAKEN, Rate } from './rate-limit.js';
import type { RecoveryBackoff } from './recovery-backoff.js';

/** A connection as it is counted. */
interface CountedConnection {
  readonly remoteAddress: string;
  readonly request: { readonly headers: object };
  once(event: 'close', listener: () => void): unknown;
}

/** How many clients are taken, and how fast. 0 is no limit. */
export interface ConnectionLimitsOptions {
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly maxConnectsPerSecond: number;
  readonly maxConnectsPerSecondPerIp: number;
}

/** A second's worth may come at once. */
function rateOf(perSecond: number): Rate | undefined {
  return perSecond > 0 ? new Rate(perSecond, perSecond) : undefined;
}

/** What a pod knows of itself and of its clients. */
export interface ConnectionLimitsServices {
  readonly addresses: ClientAddress;
  readonly memory: MemoryPressure;
  /** Addresses that are refused for a while. */
  readonly backoff: RecoveryBackoff;
  /** Clients there are now; those on long-polling that have not joined take nobody's place. */
  readonly connections: () => number;
  /** Ends a client that has not joined for a while. @returns whether there was one */
  readonly makeRoom: () => boolean;
}

/** Decides whether one more client is taken, before any work is done for it. */
export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions;
  /** Clients that are taken at most, also where no limit was set. */
  readonly #most: number;
  readonly #services: ConnectionLimitsServices;
  readonly #rate: Rate | undefined;
  readonly #rateOfEach: KeyedRate | undefined;
  readonly #countOfEach = new Map<string, number>();
  #paidAtMs = NOTHING_TAKEN;

  constructor(options: ConnectionLimitsOptions, services: ConnectionLimitsServices) {
    this.#options = options;
    this.#most = Math.min(options.maxConnections || Infinity, clientsByOpenFiles());
    this.#services = services;
    this.#rate = rateOf(options.maxConnectsPerSecond);
    const each = rateOf(options.maxConnectsPerSecondPerIp);
    if (each !== undefined) this.#rateOfEach = new KeyedRate(each);
  }

  /** Clients that are taken at most. */
  get most(): number {
    return this.#most;
  }

  /** Whether there is no room for one more client, not even that of one that has not joined. */
  get isFull(): boolean {
    return this.#services.connections() >= this.#most && !this.#services.makeRoom();
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
    const { addresses, memory, backoff } = this.#services;
    if (memory.isHigh) return 'memory';
    const nowMs = performance.now();
    if (!backoff.isEmpty && backoff.refuses(addresses.of(remote(), forwarded()), nowMs)) return 'recovery_unavailable';
    if (this.isFull) return 'max_connections';
    if (maxConnectionsPerIp > 0 || this.#rateOfEach !== undefined) {
      const address = addresses.of(remote(), forwarded());
      if (maxConnectionsPerIp > 0 && (this.#countOfEach.get(address) ?? 0) >= maxConnectionsPerIp) {
        return 'max_connections_per_ip';
      }
      // Before the rate of all: what one address has too many of must not count against the others.
      if (this.#rateOfEach?.take(address, nowMs) === false) return 'connect_rate_per_ip';
    }
    if (this.#rate === undefined) return undefined;
    const paidAtMs = this.#rate.take(this.#paidAtMs, 1, nowMs);
    if (paidAtMs === undefined) return 'connect_rate';
    this.#paidAtMs = paidAtMs;
    return undefined;
  }

  /** Counts a client that was admitted, until it is gone. */
  count(connection: CountedConnection): void {
    if (this.#options.maxConnectionsPerIp === 0) return;
    const headers = connection.request.headers as Readonly<Record<string, string | undefined>>;
    const address = this.#services.addresses.of(connection.remoteAddress, headers['x-forwarded-for'] ?? '');
    const counts = this.#countOfEach;
    counts.set(address, (counts.get(address) ?? 0) + 1);
    connection.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left > 0) counts.set(address, left);
      else counts.delete(address);
    });
  }
}
