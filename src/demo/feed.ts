import { randomInt } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { BlockList } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { StatusUpdate } from '../contract/events.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { DemoMarket } from './market.js';
import { Random } from './random.js';
import { DemoServices } from './services.js';

/** Where the demo publishes, and how much. */
export interface DemoFeedOptions {
  /** The admin port of this process. */
  readonly adminHost: string;
  readonly adminPort: number;
  /** One of the keys of the publish API, where it wants one. */
  readonly apiKey: string | undefined;
  /** Signals a second, on average. */
  readonly ratePerSecond: number;
  /** The same seed gives the same market. @default a random one */
  readonly seed?: number;
  readonly log: Logger;
}

const REQUEST_LIMIT_MS = 5000;
/** Most signals that are sent together after a pause of the process; others are left out. */
const MAX_AT_ONCE = 500;
const RETRY_MS = 1000;
const SHORTEST_SLEEP_MS = 5;
const LONGEST_SLEEP_MS = 1000;

/** The address under which this machine reaches a port that it listens on. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** Addresses that this machine reaches from one of its loopback addresses. */
const REACHED_BY_LOOPBACK = new BlockList();
REACHED_BY_LOOPBACK.addSubnet('127.0.0.0', 8);
for (const address of ['::1', '::']) REACHED_BY_LOOPBACK.addAddress(address, 'ipv6');
REACHED_BY_LOOPBACK.addAddress('0.0.0.0');

/**
 * Makes sure that the publish API accepts what the demo sends: without a key it accepts only loopback callers.
 *
 * @throws StartError when it would refuse everything
 */
export async function checkDemoAccess(adminHost: string, apiKey: string | undefined): Promise<void> {
  if (apiKey !== undefined) return;
  // A name that does not resolve is reported when the port is opened.
  const addresses = await lookup(adminHost, { all: true }).catch(() => []);
  const isOpen = addresses.every(({ address, family }) =>
    REACHED_BY_LOOPBACK.check(address, family === 6 ? 'ipv6' : 'ipv4'),
  );
  if (isOpen) return;
  throw new StartError(
    `--demo cannot publish: with ADMIN_HOST=${adminHost} and without API_KEY the publish API refuses it. Set API_KEY, or ADMIN_HOST to 127.0.0.1.`,
    EXIT.config,
  );
}

/** Publishes made-up signals and statuses through the publish API of this very process, as any producer does. */
export class DemoFeed {
  readonly #options: DemoFeedOptions;
  readonly #random: Random;
  readonly #market: DemoMarket;
  readonly #services: DemoServices;
  readonly #url: string;
  readonly #stop = new AbortController();
  /** Statuses that could not be published yet, the newest of each service. */
  readonly #owed = new Map<string, StatusUpdate>();
  #failing = false;
  #running: Promise<void> | undefined;

  constructor(options: DemoFeedOptions) {
    this.#options = options;
    const seed = options.seed ?? randomInt(2 ** 32);
    this.#random = new Random(seed);
    // One generator each, so that the number of signals does not change what they are.
    this.#market = new DemoMarket(new Random(seed + 1));
    this.#services = new DemoServices(new Random(seed + 2));
    this.#url = `http://${reachable(options.adminHost)}:${options.adminPort}`;
  }

  /** Starts to publish, and says in the log that none of it is real. May be called twice. */
  start(): void {
    if (this.#running !== undefined) return;
    const { log, ratePerSecond } = this.#options;
    log.warn({ rate: ratePerSecond }, 'the demo feed is on: its signals and statuses are made up');
    this.#running = this.#run().catch((error: unknown) =>
      log.error({ reason: messageOf(error) }, 'the demo feed has ended'),
    );
  }

  /** Publishes nothing more. May be called twice. */
  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const startMs = performance.now();
    const elapsedMs = (): number => performance.now() - startMs;
    let next = 0;
    while (!signal.aborted) {
      const now = elapsedMs();
      for (const update of this.#services.due(now)) this.#owed.set(update.service, update);
      if (this.#owed.size > 0 && (await this.#post('/v1/status', [...this.#owed.values()]))) this.#owed.clear();
      const signals: unknown[] = [];
      for (; next <= now; next += this.#intervalMs()) {
        if (signals.length < MAX_AT_ONCE) signals.push(this.#market.next(new Date()));
      }
      if (signals.length > 0) await this.#post('/v1/signals', signals);
      const wait = this.#failing ? RETRY_MS : Math.max(SHORTEST_SLEEP_MS, next - elapsedMs());
      await sleep(Math.min(LONGEST_SLEEP_MS, wait), undefined, { signal }).catch(() => {});
    }
  }

  /** Time until the next signal: irregular, as arrivals are, and never a long silence. */
  #intervalMs(): number {
    const meanMs = 1000 / this.#options.ratePerSecond;
    return Math.min(4 * meanMs, -meanMs * Math.log(1 - this.#random.next()));
  }

  async #post(path: string, messages: readonly unknown[]): Promise<boolean> {
    const { apiKey, log } = this.#options;
    try {
      const answer = await fetch(this.#url + path, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(messages),
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(REQUEST_LIMIT_MS)]),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${answer.status} ${text}`);
      this.#failing = false;
      return true;
    } catch (error) {
      if (this.#failing || this.#stop.signal.aborted) return false;
      this.#failing = true;
      const { cause } = error as Error;
      log.warn({ reason: messageOf(cause ?? error) }, 'the demo feed cannot publish; it keeps trying');
      return false;
    }
  }
}
