import type { ChildProcess } from 'node:child_process';
import { type Histogram, build, decodeFromCompressedBase64 } from 'hdr-histogram-js';
import type { Order, Report } from './clients.js';

/** Reports of several processes as one. */
export interface Total extends Omit<Report, 'id' | 'latencies' | 'reconnects'> {
  /** ms since 1970, sorted. */
  readonly reconnects: readonly number[];
  /** µs */
  readonly latencies: Histogram;
}

/** Processes full of clients. */
export class Callers {
  readonly #children: readonly ChildProcess[];
  #nextId = 0;

  /** @param children - running `clients.ts` */
  constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  /** Spreads clients over the processes. */
  connect(url: string, clients: number, polling: number): void {
    const share = (total: number, i: number): number => {
      const { length } = this.#children;
      return Math.floor((total * (i + 1)) / length) - Math.floor((total * i) / length);
    };
    for (const [i, child] of this.#children.entries()) {
      this.#tell(child, { do: 'connect', url, count: share(clients, i), polling: share(polling, i) });
    }
  }

  /** From here on latencies and reconnects are those of a new phase. */
  phase(): void {
    for (const child of this.#children) this.#tell(child, { do: 'phase' });
  }

  async report(): Promise<Total> {
    const reports = await Promise.all(this.#children.map((child) => this.#ask(child)));
    const sum = (pick: (report: Report) => number): number => reports.reduce((total, one) => total + pick(one), 0);
    const latencies = build({ useWebAssembly: false });
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
