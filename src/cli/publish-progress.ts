import { SingleBar } from 'cli-progress';

/** A shorter publish shows no bar. */
const SHOW_AFTER_MS = 500;
/** Columns of the bar, and of the figures after it. */
const [MIN_BAR, MAX_BAR, FIGURES] = [4, 24, 40] as const;
const CLEAR_LINE = '\r\u001b[2K';

/** How far a long publish has come: a bar on a terminal, nothing elsewhere. Lines are printed above it. */
export class PublishProgress {
  readonly #stream: NodeJS.WriteStream;
  readonly #totalBytes: number | undefined;
  readonly #startMs = performance.now();
  #bar: SingleBar | undefined;

  /** @param totalBytes - of all lines; `undefined` if it is not known */
  constructor(stream: NodeJS.WriteStream, totalBytes: number | undefined) {
    this.#stream = stream;
    this.#totalBytes = totalBytes;
  }

  /** @param bytes - of the lines that are done */
  update(published: number, bytes: number): void {
    if (!this.#stream.isTTY || performance.now() - this.#startMs < SHOW_AFTER_MS) return;
    const seconds = (performance.now() - this.#startMs) / 1000;
    const what = { published: number(published), rate: number(Math.round(published / seconds)) };
    this.#bar ??= this.#open(what);
    this.#bar.update(bytes, what);
  }

  /** Writes a line that stays. */
  say(text: string): void {
    this.#stream.write(`${this.#bar === undefined ? '' : CLEAR_LINE}${text}\n`);
  }

  /** Takes the bar away. May be called twice. */
  done(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #open(what: object): SingleBar {
    const figures = '{published} published, {rate}/s';
    const bar = new SingleBar({
      format: this.#totalBytes === undefined ? figures : `{bar} {percentage} %  ${figures}`,
      barsize: Math.max(MIN_BAR, Math.min(MAX_BAR, this.#stream.columns - FIGURES)),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      clearOnComplete: true,
      // A cursor that is hidden stays so when the process is killed.
      hideCursor: false,
      // A line that wraps cannot be overwritten.
      linewrap: false,
      stream: this.#stream,
      fps: 10,
      // The line may have been taken for one that stays.
      forceRedraw: true,
    });
    bar.start(this.#totalBytes ?? 0, 0, what);
    return bar;
  }
}

/** A whole number as people read it. */
export function number(value: number): string {
  return value.toLocaleString('en-US');
}
