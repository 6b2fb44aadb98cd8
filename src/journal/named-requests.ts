import type { Offset } from '../contract/offset.js';
import { textBytes } from './entry-bytes.js';
import { IDEMPOTENCY_MS, type IdempotencyKey } from './journal.js';

/** A request that was carried out. */
interface NamedRequest {
  readonly fingerprint: string;
  /** The first of its places, which are consecutive. */
  readonly first: Offset | undefined;
  readonly count: number;
  readonly endMs: number;
  readonly bytes: number;
}

/** What a request takes beside its texts. */
const REQUEST_BYTES = 300;

/** What the requests named were answered, for {@link IDEMPOTENCY_MS}; beyond a size the oldest are forgotten sooner. */
export class NamedRequests {
  readonly #maxBytes: number;
  /** In the order in which they were carried out, which is that in which they are forgotten. */
  readonly #requests = new Map<string, NamedRequest>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @returns the places that a request of this name got, and what it asked for; `undefined` if there was none */
  find(key: string, nowMs: number): { readonly fingerprint: string; readonly offsets: readonly Offset[] } | undefined {
    for (const [oldest, { endMs }] of this.#requests) {
      if (endMs > nowMs) break;
      this.#forget(oldest);
    }
    const found = this.#requests.get(key);
    if (found === undefined) return undefined;
    const { fingerprint, first, count } = found;
    const offsets =
      first === undefined ? [] : Array.from({ length: count }, (_, i) => ({ epoch: first.epoch, seq: first.seq + i }));
    return { fingerprint, offsets };
  }

  /** @param offsets - consecutive */
  remember({ key, fingerprint }: IdempotencyKey, offsets: readonly Offset[], nowMs: number): void {
    const bytes = REQUEST_BYTES + textBytes(key) + textBytes(fingerprint);
    const request = { fingerprint, first: offsets[0], count: offsets.length, endMs: nowMs + IDEMPOTENCY_MS, bytes };
    this.#requests.set(key, request);
    this.#bytes += bytes;
    for (const [oldest] of this.#requests) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#requests.get(key)?.bytes ?? 0;
    this.#requests.delete(key);
  }
}
