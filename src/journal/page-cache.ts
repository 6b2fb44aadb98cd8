import type { JournalEntry } from './journal.js';

/** Entries as they stand in Redis. */
export interface Page {
  /** The number it was read from: every entry from here to the last one is in it. */
  readonly from: number;
  /** Ascending, with deleted ones in their places. */
  readonly entries: readonly JournalEntry[];
  /** Whether there was nothing behind the last. */
  readonly isEnd: boolean;
  readonly bytes: number;
}

/** The pages used last, for clients that are close behind each other. */
export class PageCache {
  readonly #maxBytes: number;
  /** By the number that a page was read from, the one used longest ago first. */
  readonly #pages = new Map<number, Page>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(page: Page): void {
    this.#remove(page.from);
    this.#pages.set(page.from, page);
    this.#bytes += page.bytes;
    for (const [from] of this.#pages) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(from);
    }
  }

  /** The page that was read from a number. */
  get(from: number): Page | undefined {
    const page = this.#pages.get(from);
    if (page === undefined) return undefined;
    this.#pages.delete(from);
    this.#pages.set(from, page);
    return page;
  }

  clear(): void {
    this.#pages.clear();
    this.#bytes = 0;
  }

  #remove(from: number): void {
    const page = this.#pages.get(from);
    if (page === undefined) return;
    this.#pages.delete(from);
    this.#bytes -= page.bytes;
  }
}
