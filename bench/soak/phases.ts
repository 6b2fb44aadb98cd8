import { setTimeout as sleep } from 'node:timers/promises';
import type { Histogram } from 'hdr-histogram-js';
import { type MachineTime, machineTime } from '../load/cpu.js';
import { nowMicros } from '../load/message.js';
import { emptyHistogram } from '../load/tally.js';
import type { Fleet } from '../../test/support/fleet.js';
import { until } from '../../test/support/until.js';
import type { Callers } from './callers.js';
import { peak, randomPeak } from './spread.js';
import { millis, percent, say, table } from './table.js';

/** A stock client waits 0.5 to 1.5 s before it connects again; after a try that failed up to 3 s more. */
const BACK_LIMIT_MS = 10_000;
const IS_ROOT = process.getuid?.() === 0;

const HEAD = [
  'phase',
  's',
  'machine',
  'p50 ms',
  'p99 ms',
  'max ms',
  'x quiet p99',
  'moved',
  'even/s',
  'let go, peak',
  'reconnects, peak',
  'chance',
];

/** What happened between two looks at the clients. */
export interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly machineBusy: number;
  readonly latencies: Histogram;
  readonly stop?: Stop;
}

/** How the clients of one pod moved. Peaks are ratios to the even spread. */
export interface Stop {
  readonly moved: number;
  readonly even: number;
  /** Of the times at which the pod ended connections, by its log. */
  readonly letGo: number;
  /** Of the times at which clients had their `welcome` again. */
  readonly reconnects: number;
  readonly chance: { readonly median: number; readonly p99: number };
}

/** What a run is made of. */
export interface RunOptions {
  readonly fleet: Fleet;
  readonly callers: Callers;
  /** `DRAIN_SECONDS` of the pods. */
  readonly drainSeconds: number;
  /** Window in which the peak of reconnects is measured. */
  readonly windowSeconds: number;
}

/** A rolling restart or a change of scale, measured phase by phase. */
export class Run {
  /** Those that are over. */
  readonly phases: Phase[] = [];
  readonly #fleet: Fleet;
  readonly #callers: Callers;
  readonly #drainSeconds: number;
  readonly #windowSeconds: number;
  #begin = performance.now();
  #machine: MachineTime = machineTime();

  constructor({ fleet, callers, drainSeconds, windowSeconds }: RunOptions) {
    this.#fleet = fleet;
    this.#callers = callers;
    this.#drainSeconds = drainSeconds;
    this.#windowSeconds = windowSeconds;
  }

  /** What happens from here on belongs to the next phase. */
  async begin(): Promise<void> {
    await this.#callers.phase();
    this.#begin = performance.now();
    this.#machine = machineTime();
  }

  async #end(name: string, stop?: Stop): Promise<void> {
    const now = machineTime();
    const seconds = (performance.now() - this.#begin) / 1000;
    const machineBusy = (now.busy - this.#machine.busy) / (now.total - this.#machine.total);
    const { latencies } = await this.#callers.phase();
    const phase = { name, seconds, machineBusy, latencies, ...(stop !== undefined && { stop }) };
    this.phases.push(phase);
    const moved =
      stop === undefined ? '' : `; ${stop.moved} clients moved, peak ${stop.reconnects.toFixed(2)} x the even spread`;
    say(`${name}: p99 ${millis(latencies.getValueAtPercentile(99))} ms${moved}`);
    this.#begin = performance.now();
    this.#machine = now;
  }

  /** Lets nothing happen. */
  async quiet(name: string, seconds: number): Promise<void> {
    await this.begin();
    await sleep(seconds * 1000);
    await this.#end(name);
  }

  /** Starts pods until there are so many. On a machine of its own each would take nothing from the others; so it does not here. */
  async scaleUp(name: string, count: number): Promise<void> {
    await this.begin();
    await this.#fleet.scaleUp(count, IS_ROOT);
    await this.#end(name);
  }

  /** Stops the oldest pod, and waits until its clients are back. */
  async stopOne(name: string): Promise<void> {
    const [pod] = this.#fleet.pods.values();
    if (pod === undefined) throw new Error('there is no pod left');
    await this.begin();
    const moved = await pod.metric('gateway_connections');
    const begin = nowMicros();
    await this.#fleet.scaleDown(this.#fleet.pods.size - 1);
    const back = await until(
      'the clients to be back',
      async () => {
        const times = (await this.#callers.report()).reconnects.filter((time) => time >= begin);
        return times.length >= moved && times;
      },
      { limit: BACK_LIMIT_MS },
    ).catch(async () => (await this.#callers.report()).reconnects);
    const letGo = pod
      .logs()
      .filter(({ msg, reason }) => msg === 'client disconnected' && reason === 'drained')
      .map(({ time }) => Date.parse(String(time)))
      .toSorted((a, b) => a - b);
    const even = moved / this.#drainSeconds;
    const ratio = (most: number): number => most / (even * this.#windowSeconds);
    const chance = randomPeak(moved, this.#drainSeconds, this.#windowSeconds);
    await this.#end(name, {
      moved: back.length,
      even,
      letGo: ratio(peak(letGo, this.#windowSeconds * 1000)),
      reconnects: ratio(peak(back, this.#windowSeconds * 1e6)),
      chance: { median: ratio(chance.median), p99: ratio(chance.p99) },
    });
  }

  /** Latencies of all phases whose name holds a text, as one. */
  together(text: string): Histogram {
    const all = emptyHistogram();
    for (const { name, latencies } of this.phases) if (name.includes(text)) all.add(latencies);
    return all;
  }

  /** The phases as a table. @param quietP99 - µs */
  table(quietP99: number): string {
    const rows = this.phases.map(({ name, seconds, machineBusy, latencies, stop }) => [
      name,
      seconds.toFixed(0),
      percent(machineBusy),
      millis(latencies.getValueAtPercentile(50)),
      millis(latencies.getValueAtPercentile(99)),
      millis(latencies.maxValue),
      (latencies.getValueAtPercentile(99) / quietP99).toFixed(2),
      ...(stop === undefined
        ? ['', '', '', '', '']
        : [
            String(stop.moved),
            stop.even.toFixed(1),
            stop.letGo.toFixed(2),
            stop.reconnects.toFixed(2),
            `${stop.chance.median.toFixed(2)}, ${stop.chance.p99.toFixed(2)}`,
          ]),
    ]);
    return table(HEAD, rows);
  }
}
