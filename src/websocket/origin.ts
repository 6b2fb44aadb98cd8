/** Which web origins may use the gateway (`CORS_ORIGIN`). */
export class OriginPolicy {
  readonly #any: boolean;
  readonly #allowed: ReadonlySet<string>;

  /** @param origins - `*` alone, or the exact origins */
  constructor(origins: readonly string[]) {
    this.#any = origins.includes('*');
    this.#allowed = new Set(origins.map((origin) => origin.toLowerCase()));
  }

  /**
   * Whether a request may go on. Only browsers send an origin; a request without one is not from a web page.
   *
   * @param origin - value of the `Origin` header, empty if there is none
   */
  allows(origin: string): boolean {
    return this.#any || origin === '' || this.#allowed.has(origin.toLowerCase());
  }

  /** The response headers that let a page of this origin read the response (Fetch standard, CORS protocol). */
  headers(origin: string): readonly (readonly [string, string])[] {
    if (this.#any) return [['Access-Control-Allow-Origin', '*']];
    if (origin === '' || !this.allows(origin)) return [['Vary', 'Origin']];
    return [
      ['Access-Control-Allow-Origin', origin],
      ['Access-Control-Allow-Credentials', 'true'],
      ['Vary', 'Origin'],
    ];
  }
}
