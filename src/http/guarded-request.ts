import type { HttpRequest } from 'uWebSockets.js';

/**
 * A request as handlers see it, valid until the handler returns.
 *
 * The query is a text in every case: uWebSockets.js gives `undefined` for a request line without a `?`, whatever its
 * typings say. The path is the one below the prefix that the app is served under.
 */
export class GuardedRequest implements HttpRequest {
  readonly #native: HttpRequest;
  readonly #prefix: number;

  /** @param prefix - characters of the path that come before what handlers know */
  constructor(native: HttpRequest, prefix: number) {
    this.#native = native;
    this.#prefix = prefix;
  }

  getHeader(lowerCaseKey: string): string {
    return this.#native.getHeader(lowerCaseKey);
  }

  getParameter(index: number | string): string | undefined {
    return this.#native.getParameter(index);
  }

  /** The path, without the query. */
  getUrl(): string {
    return this.#native.getUrl().slice(this.#prefix);
  }

  getMethod(): string {
    return this.#native.getMethod();
  }

  getCaseSensitiveMethod(): string {
    return this.#native.getCaseSensitiveMethod();
  }

  getQuery(): string;
  getQuery(key: string): string | undefined;
  getQuery(key?: string): string | undefined {
    // With a query of its own the native method decodes; without one it would look for a parameter named "undefined".
    if (key !== undefined) return this.#native.getQuery(key);
    const query: string | undefined = this.#native.getQuery();
    return query ?? '';
  }

  forEach(callback: (key: string, value: string) => void): void {
    this.#native.forEach(callback);
  }

  setYield(isYielded: boolean): this {
    this.#native.setYield(isYielded);
    return this;
  }
}
