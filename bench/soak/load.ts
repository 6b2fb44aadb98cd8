import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { nowMicros, signalText } from '../load/message.js';
import { emptyHistogram } from '../load/tally.js';

/** Publishes signals at a rate, each stamped with when it is due, until stopped. */
export class Load {
  sent = 0;
  /** How late signals were sent, µs; a part of every latency. */
  readonly late = emptyHistogram();
  #isRunning = true;
  readonly #done: Promise<void>;

  constructor(publish: (message: string) => Promise<unknown>, rate: number) {
    this.#done = this.#run(publish, rate);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
  }

  async #run(publish: (message: string) => Promise<unknown>, rate: number): Promise<void> {
    const begin = nowMicros();
    const pending = new Set<Promise<unknown>>();
    const isRunning = (): boolean => this.#isRunning;
    for (const start = performance.now(); isRunning();) {
      const at = (this.sent * 1000) / rate;
      const wait = start + at - performance.now();
      if (wait > 1) await sleep(wait);
      const due = begin + Math.round(at * 1000);
      this.late.recordValue(Math.max(1, nowMicros() - due));
      const one = publish(signalText(this.sent++, due));
      pending.add(one);
      void one.finally(() => pending.delete(one));
    }
    await Promise.all(pending);
  }
}
