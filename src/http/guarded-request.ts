import type { HttpRequest } from 'uWebSockets.js';
import type { RequestHead } from './request-head.js';

/**
 * A request as handlers see it, valid until the handler returns.
 *
 * The query is always a text: uWebSockets.js gives `undefined` for a request line without a `?`, whatever its typings say.
 * The path is the one below the prefix that the app is served under.
 */
export class GuardedRequest {
  /** What was read already; stays valid. */
  readonly head: RequestHead;
  readonly #native: HttpRequest;
  readonly #prefix: number;

  /** @param prefix - characters of the path that come before what handlers know */
  constructor(native: HttpRequest, head: RequestHead, prefix: number) {
    this.#native = native;
    this.head = head;
    this.#prefix = prefix;
  }

  getHeader(lowerCaseKey: string): string {
    return this.#native.getHeader(lowerCaseKey);
  }

  /** The path, without the query. */
  getUrl(): string {
    return this.#prefix === 0 ? this.head.path : this.head.path.slice(this.#prefix);
  }

  getMethod(): string {
    return this.head.method;
  }

  getQuery(): string {
    return this.head.query;
  }

  forEach(callback: (key: string, value: string) => void): void {
    this.#native.forEach(callback);
  }

  setYield(isYielded: boolean): this {
    this.#native.setYield(isYielded);
    return this;
  }
}
