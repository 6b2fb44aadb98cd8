/** The key under which this tab keeps the token over reloads. */
const KEPT_AS = 'signal-gateway.publish';
const IN_LINK = '#publish=';

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A key may contain a "%", and whoever writes the link by hand may not escape it.
    return text;
  }
}

/** What lets this page publish: the token from the link in the gateway's log, or a key of `API_KEY`. */
export class PublishToken {
  #value = '';

  constructor() {
    try {
      this.#value = sessionStorage.getItem(KEPT_AS) ?? '';
    } catch {
      // A browser may forbid it: then the token lasts until the page is left.
    }
  }

  /** Empty if there is none. */
  get value(): string {
    return this.#value;
  }

  /** Headers of a request that presents it. */
  get headers(): Readonly<Record<string, string>> {
    // A pasted text may contain characters that no header can have.
    return /^[\x21-\x7e]+$/.test(this.#value) ? { authorization: `Bearer ${this.#value}` } : {};
  }

  /** @param text - a token or a key, or a whole link */
  take(text: string): void {
    const at = text.indexOf(IN_LINK);
    this.#value = at < 0 ? text.trim() : decoded(text.slice(at + IN_LINK.length).trim());
    try {
      sessionStorage.setItem(KEPT_AS, this.#value);
    } catch {
      // As above.
    }
  }

  /**
   * Takes the token out of the address of the page, so that nobody sees or copies it there.
   *
   * @returns whether there was one
   */
  takeFromAddress(): boolean {
    if (!location.hash.startsWith(IN_LINK)) return false;
    this.take(location.hash);
    history.replaceState(history.state, '', location.pathname + location.search);
    return true;
  }
}
