import { SingleBar } from 'cli-progress';
import type { Progress } from '../scenario.js';
import { number } from './format.js';

/** Where progress is shown; the standard error output in the command, so that tables can be piped. */
export type ProgressStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** The progress of one scenario; `done` takes the bar away. */
export interface ShownProgress extends Progress {
  done(): void;
}

type Live = Readonly<Record<string, string | number>>;

function liveText(live: Live): string {
  return Object.entries(live)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? number(value, value >= 100 ? 0 : 2) : value}`)
    .join(', ');
}

/** A bar on a terminal: steps, the current one, and what it measures right now. */
class BarProgress implements ShownProgress {
  readonly #bar: SingleBar;
  #total = 1;
  /** Steps that have begun. */
  #begun = 0;
  #what = '';

  constructor(name: string, stream: ProgressStream) {
    this.#bar = new SingleBar({
      format: `${name} {bar} {percentage} %  {duration_formatted}  {what}`,
      barsize: 24,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      // A line that wraps cannot be overwritten.
      linewrap: false,
      stream,
      fps: 10,
    });
    // In thousandths of a step, since a step has a share of its own.
    this.#bar.start(1000, 0, { what: 'starting' });
  }

  steps(total: number): void {
    this.#total = Math.max(1, total);
    this.#bar.setTotal(this.#total * 1000);
  }

  step(what: string): void {
    this.#begun++;
    this.#what = what;
    this.#show(0, what);
  }

  within(share: number, live: Live = {}): void {
    const text = liveText(live);
    this.#show(share, text === '' ? this.#what : `${this.#what}: ${text}`);
  }

  done(): void {
    this.#bar.stop();
  }

  #show(share: number, what: string): void {
    const steps = Math.min(this.#total, Math.max(0, this.#begun - 1) + Math.min(1, Math.max(0, share)));
    this.#bar.update(Math.round(steps * 1000), { what });
  }
}

/** A line for each step, for logs. */
class LineProgress implements ShownProgress {
  readonly #name: string;
  readonly #stream: ProgressStream;
  #total = '?';
  #begun = 0;

  constructor(name: string, stream: ProgressStream) {
    this.#name = name;
    this.#stream = stream;
  }

  steps(total: number): void {
    this.#total = String(total);
  }

  step(what: string): void {
    this.#begun++;
    this.#stream.write(`${this.#name} ${this.#begun}/${this.#total}: ${what}\n`);
  }

  // Live figures are worth nothing in a log.
  within(): void {}

  done(): void {}
}

/** Shows how far a scenario is: a bar on a terminal, a line for each step elsewhere. */
export function showProgress(name: string, stream: ProgressStream): ShownProgress {
  return stream.isTTY === true ? new BarProgress(name, stream) : new LineProgress(name, stream);
}
