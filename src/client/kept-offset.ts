/** What is used of `sessionStorage`. */
export interface OffsetStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** A function is called once and may throw: where storage is forbidden, the name `sessionStorage` alone throws. */
export type OffsetStorageSource = OffsetStorage | (() => OffsetStorage | undefined);

/** The offset is written at most this often: a page gets hundreds of signals a second. */
const WRITE_EVERY_MS = 1000;

/** What pages have and Node.js lacks. */
interface Page {
  addEventListener?(type: 'pagehide', listener: () => void): void;
  removeEventListener?(type: 'pagehide', listener: () => void): void;
}

/**
 * Keeps the newest offset over a reload of the page: it is written now and then, and when the page is left.
 *
 * With a storage that is full or forbidden, a reloaded page starts afresh.
 */
export class KeptOffset {
  readonly #storage: OffsetStorage | undefined;
  readonly #key: string;
  #newest: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(storage: OffsetStorageSource | undefined, key: string) {
    this.#key = key;
    try {
      this.#storage = typeof storage === 'function' ? storage() : storage;
    } catch {
      // As said above.
    }
  }

  read(): string | undefined {
    try {
      return this.#storage?.getItem(this.#key) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes soon. */
  keep(offset: string): void {
    if (this.#storage === undefined) return;
    this.#newest = offset;
    this.#timer ??= setTimeout(this.#write, WRITE_EVERY_MS);
  }

  /** From now on, writes when the page is left. May be called twice. */
  open(): void {
    if (this.#storage !== undefined) (globalThis as Page).addEventListener?.('pagehide', this.#write);
  }

  /** Writes now. May be called twice. */
  close(): void {
    this.#write();
    (globalThis as Page).removeEventListener?.('pagehide', this.#write);
  }

  readonly #write = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#newest === undefined) return;
    try {
      this.#storage?.setItem(this.#key, this.#newest);
    } catch {
      // As said above.
    }
  };
}
