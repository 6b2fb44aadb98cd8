import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { CheckedClient, connected } from './checked-client.js';
import type { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { signal } from './signals.js';
import { until } from './until.js';

const POST_EVERY_MS = 15;
const PUBLISH_EVERY_MS = 25;
let price = 0;

function priceOf(text: string): number {
  return (JSON.parse(text) as { price: number }).price;
}

/** Producers that post to every pod and publish in Redis, and two clients on every pod, while something happens to Redis. */
export class AccidentLoad {
  readonly clients: readonly CheckedClient[];
  /** Prices that a pod has answered with 202. */
  readonly accepted: number[] = [];
  readonly published: number[] = [];
  readonly #pods: readonly Pod[];
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[];

  private constructor(pods: readonly Pod[], producer: Redis, clients: readonly CheckedClient[]) {
    this.#pods = pods;
    this.clients = clients;
    this.#loops = [...pods.map((pod) => this.#post(pod)), this.#publish(producer)];
  }

  /** Starts it, once every client is connected. */
  static async start(cleanup: Cleanup, pods: readonly Pod[], producer: Redis): Promise<AccidentLoad> {
    const clients = [...pods, ...pods].map(({ url }) => new CheckedClient(cleanup, url, { transports: ['websocket'] }));
    await connected(clients);
    const load = new AccidentLoad(pods, producer, clients);
    cleanup.add(load, () => load.stop());
    await load.flows();
    return load;
  }

  /** Breaks the connections of the second client on each pod; they come back by themselves. */
  drop(): void {
    for (const { socket } of this.clients.slice(this.#pods.length)) socket.io.engine.close();
  }

  /** Waits until a message that each pod takes now reaches every client, and each pod is ready. */
  async flows(limit = 10_000): Promise<void> {
    const from = price;
    const carried = (list: readonly number[]): boolean => {
      const newest = list.filter((one) => one > from);
      return newest.length > 0 && this.clients.every((client) => newest.some((one) => this.#has(client, one)));
    };
    const seen = (): unknown => ({ clients: this.clients, logs: this.#pods.map((pod) => pod.logs().slice(-8)) });
    await until('posts to reach every client', () => carried(this.accepted), { limit, seen });
    await until('what is published to reach every client', () => carried(this.published), { limit, seen });
    for (const pod of this.#pods) await pod.ready();
  }

  /** Ends the producers. May be called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#loops);
  }

  /** Ends the producers, and waits until every client has what was posted last. */
  async end(): Promise<void> {
    await this.stop();
    for (const pod of this.#pods) {
      const last = ++price;
      await until('a last post to be taken', async () => (await pod.post('/v1/signals', signal(last))).status === 202);
      this.accepted.push(last);
      const have = (): boolean => this.clients.every((client) => this.#has(client, last));
      await until('the last post at every client', have, { seen: () => this.clients });
    }
    for (const { socket } of this.clients) socket.disconnect();
  }

  /** What is wrong with what the clients got; `isTold` counts losses that a `gap` has told as right. */
  faults(isTold: boolean): unknown[] {
    return this.clients.flatMap((client, index) => {
      const prices = [...client.got.values()].map(priceOf);
      const once = new Set(prices);
      const lost = this.accepted.filter((one) => !once.has(one));
      const twice = prices.filter((one, at) => prices.indexOf(one) !== at);
      const isWrong =
        twice.length > 0 ||
        client.faultCount > 0 ||
        (isTold ? client.gaps.length === 0 && lost.length > 0 : lost.length > 0);
      return isWrong ? [{ index, lost, twice, faults: client.faults, gaps: client.gaps }] : [];
    });
  }

  #has(client: CheckedClient, wanted: number): boolean {
    for (const text of client.got.values()) if (priceOf(text) === wanted) return true;
    return false;
  }

  async #post(pod: Pod): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const mine = ++price;
      const answer = await pod.post('/v1/signals', signal(mine));
      if (answer.status === 202) this.accepted.push(mine);
      await answer.arrayBuffer();
      await sleep(POST_EVERY_MS);
    }
  }

  async #publish(producer: Redis): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const mine = ++price;
      await producer.publish('new_signal', JSON.stringify(signal(mine)));
      this.published.push(mine);
      await sleep(PUBLISH_EVERY_MS);
    }
  }
}
