import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Histogram, decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { emptyHistogram } from '../load/tally.js';
import type { Cleanup } from '../../test/support/processes.js';
import type { Order, Report } from './client-report.js';

/** Reports of several processes as one. */
export interface Total extends Omit<Report, 'id' | 'latencies' | 'reconnects'> {
  /** µs of the monotonic clock, sorted. */
  readonly reconnects: readonly number[];
  /** µs */
  readonly latencies: Histogram;
}

/** How many clients there are, and of which kind. */
export interface Callup {
  /** Bare readers of frames; see `light-clients.ts`. */
  readonly light: number;
  /** Processes that the light ones are spread over. */
  readonly processes: number;
  /** Stock clients, in one process. */
  readonly stock: number;
  /** How many of the stock ones use long-polling. */
  readonly polling: number;
}

function start(cleanup: Cleanup, file: string): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return cleanup.add(fork(path, { execArgv: ['--import', 'tsx'] }), (self) => self.kill('SIGKILL'));
}

/** Processes full of clients. */
export class Callers {
  readonly #children: readonly { readonly process: ChildProcess; readonly count: number; readonly polling: number }[];
  #nextId = 0;

  constructor(cleanup: Cleanup, { light, processes, stock, polling }: Callup) {
    const share = (i: number): number =>
      Math.floor((light * (i + 1)) / processes) - Math.floor((light * i) / processes);
    this.#children = [
      ...Array.from({ length: light > 0 ? processes : 0 }, (_, i) => ({
        process: start(cleanup, 'light-clients.ts'),
        count: share(i),
        polling: 0,
      })),
      ...(stock > 0 ? [{ process: start(cleanup, 'stock-clients.ts'), count: stock, polling }] : []),
    ];
  }

  /** Connects all clients to one port. */
  connect(port: number): void {
    for (const { process, count, polling } of this.#children)
      this.#tell(process, { do: 'connect', port, count, polling });
  }

  /** What happened in this phase; with it a new one begins. */
  async phase(): Promise<Total> {
    const total = await this.report();
    for (const { process } of this.#children) this.#tell(process, { do: 'phase' });
    return total;
  }

  async report(): Promise<Total> {
    const reports = await Promise.all(this.#children.map(({ process }) => this.#ask(process)));
    const sum = (pick: (report: Report) => number): number => reports.reduce((total, one) => total + pick(one), 0);
    const latencies = emptyHistogram();
    for (const one of reports) latencies.add(decodeFromCompressedBase64(one.latencies));
    return {
      connected: sum(({ connected }) => connected),
      least: Math.min(...reports.map(({ least }) => least)),
      most: Math.max(...reports.map(({ most }) => most)),
      lost: sum(({ lost }) => lost),
      twice: sum(({ twice }) => twice),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      gaps: sum(({ gaps }) => gaps),
      unrecovered: sum(({ unrecovered }) => unrecovered),
      reconnects: reports.flatMap(({ reconnects }) => reconnects).toSorted((a, b) => a - b),
      latencies,
    };
  }

  #ask(child: ChildProcess): Promise<Report> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const take = (report: Report): void => {
        if (report.id !== id) return;
        child.off('message', take);
        child.off('exit', fail);
        resolve(report);
      };
      const fail = (): void => reject(new Error('a process of clients has ended'));
      child.on('message', take);
      child.once('exit', fail);
      this.#tell(child, { do: 'report', id });
    });
  }

  #tell(child: ChildProcess, order: Order): void {
    child.send(order);
  }
}
