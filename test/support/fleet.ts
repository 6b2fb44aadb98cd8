import type { HaProxy } from './haproxy.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { until } from './until.js';

const STARTING_NICENESS = 5;

/** Pods behind a load balancer, started and stopped as an orchestrator does it. */
export class Fleet {
  readonly pods = new Map<number, Pod>();
  readonly #cleanup: Cleanup;
  readonly #proxy: HaProxy;
  readonly #env: Readonly<Record<string, string>>;

  constructor(cleanup: Cleanup, proxy: HaProxy, env: Readonly<Record<string, string>>) {
    this.#cleanup = cleanup;
    this.#proxy = proxy;
    this.#env = env;
  }

  /**
   * Adds pods until there are so many; each is ready.
   *
   * @param gently - a pod that starts leaves the processors to those that serve, as if it had some of its own; needs root
   */
  async scaleUp(count: number, gently = false): Promise<void> {
    while (this.pods.size < count) {
      const free = this.#proxy.slots.findIndex((_, i) => !this.pods.has(i));
      const slot = this.#proxy.slots[free];
      if (slot === undefined) throw new Error(`the load balancer knows of ${this.pods.size} pods at most`);
      const env = { ...this.#env, PORT: String(slot.port), ADMIN_PORT: String(slot.adminPort) };
      const pod = await Pod.start(this.#cleanup, env, { niceness: gently ? STARTING_NICENESS : 0 });
      if (gently) pod.hurry();
      this.pods.set(free, pod);
    }
  }

  /** Stops pods with SIGTERM until there are so many, one after the other, the oldest first. */
  async scaleDown(count: number): Promise<void> {
    while (this.pods.size > count) {
      const [oldest] = this.pods;
      if (oldest === undefined) return;
      const [slot, pod] = oldest;
      const code = await pod.child.kill('SIGTERM');
      if (code !== 0) throw new Error(`a pod ended with ${code}: ${pod.output()}`);
      this.pods.delete(slot);
    }
  }

  /** Replaces every pod, one at a time: the new one is ready before the old one is told to stop. */
  async roll(): Promise<void> {
    const { size } = this.pods;
    for (let i = 0; i < size; i++) {
      await this.scaleUp(size + 1);
      await this.scaleDown(size);
    }
  }

  /** Sum of a metric over the pods. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    let sum = 0;
    for (const pod of this.pods.values()) sum += await pod.metric(name, labels);
    return sum;
  }

  /** Waits until one pod bridges Pub/Sub. */
  async bridged(): Promise<void> {
    await until('a pod to bridge', async () => (await this.metric('gateway_bridge_lease')) === 1);
  }
}
