/** Host names of one or more labels, and nothing that could end a host name early. */
const LABELS = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;

function isBelow(origin: string, [scheme, domain]: readonly [string, string]): boolean {
  return (
    origin.startsWith(scheme) &&
    origin.endsWith(domain) &&
    LABELS.test(origin.slice(scheme.length, origin.length - domain.length))
  );
}

/** Which web origins may use the gateway (`CORS_ORIGIN`). */
export class OriginPolicy {
  readonly #any: boolean;
  readonly #allowed: ReadonlySet<string>;
  /** Of `https://*.example.com`: what comes before the name, and `.example.com`. */
  readonly #wildcards: readonly (readonly [string, string])[];

  /** @param origins - `*` alone, or origins, exact or with `*.` in place of all names below a domain */
  constructor(origins: readonly string[]) {
    this.#any = origins.includes('*');
    const lower = origins.map((origin) => origin.toLowerCase());
    this.#allowed = new Set(lower.filter((origin) => !origin.includes('*')));
    this.#wildcards = lower
      .filter((origin) => origin.includes('://*'))
      .map((origin) => origin.split('*') as [string, string]);
  }

  /**
   * Whether a request may go on. Only browsers send an origin; a request without one is not from a web page.
   *
   * @param origin - value of the `Origin` header, empty if there is none
   */
  allows(origin: string): boolean {
    if (this.#any || origin === '') return true;
    const lower = origin.toLowerCase();
    return this.#allowed.has(lower) || this.#wildcards.some((wildcard) => isBelow(lower, wildcard));
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
