/** Host names of one or more labels, and nothing that could end a host name early. */
const LABELS = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;

/** A web page's origin: its scheme, its host without the port, and both together as a `Host` header names them. */
const WEB = /^(https?):\/\/(((?:\[[0-9a-f:.]+\]|[^/:?#@\s]+))(?::\d+)?)$/;

function isBelow(origin: string, [scheme, domain]: readonly [string, string]): boolean {
  return (
    origin.startsWith(scheme) &&
    origin.endsWith(domain) &&
    LABELS.test(origin.slice(scheme.length, origin.length - domain.length))
  );
}

/** Without the port that the scheme has anyway, which browsers leave out and other clients may not. */
function withoutUsualPort(scheme: string, authority: string): string {
  const port = scheme === 'https' ? ':443' : ':80';
  return authority.endsWith(port) ? authority.slice(0, -port.length) : authority;
}

/** Which web origins may use the gateway (`CORS_ORIGIN`). */
export class OriginPolicy {
  readonly #any: boolean;
  readonly #allowed: ReadonlySet<string>;
  /** Of `https://*.example.com`: what comes before the name, and `.example.com`. */
  readonly #wildcards: readonly (readonly [string, string])[];
  /** Hosts of the web origins that are listed, by name and as `.example.com`. */
  readonly #hosts: ReadonlySet<string>;
  readonly #domains: readonly string[];

  /** @param origins - `*` alone, or origins as browsers send them, exact or with `*.` in place of all names below a domain */
  constructor(origins: readonly string[]) {
    this.#any = origins.includes('*');
    const lower = origins.map((origin) => origin.toLowerCase());
    const exact = lower.filter((origin) => !origin.includes('*'));
    this.#allowed = new Set(exact);
    this.#wildcards = lower
      .filter((origin) => origin.includes('://*'))
      .map((origin) => origin.split('*') as [string, string]);
    this.#hosts = new Set(exact.flatMap((origin) => WEB.exec(origin)?.[3] ?? []));
    this.#domains = this.#wildcards.map(([, domain]) => domain.replace(/:\d+$/, ''));
  }

  /**
   * Whether a request may go on. Browsers send an origin, and a few apps; a request without one is not from a web page.
   *
   * React Native on Android sends the gateway's own address as the origin of a WebSocket, with `http` for `ws` and `https`
   * for `wss` and any port that the app has written. So a request that names as its origin what its `Host` header names
   * may go on if that host is listed, whatever its scheme and port: such a page could only come from the gateway itself.
   * A host that is not listed may not, since anybody can point a name of his own at this address (DNS rebinding).
   *
   * @param origin - value of the `Origin` header, empty if there is none
   * @param host - value of the `Host` header
   */
  allows(origin: string, host = ''): boolean {
    if (this.#any || origin === '') return true;
    const lower = origin.toLowerCase();
    if (this.#allowed.has(lower)) return true;
    const [, scheme = '', authority = ''] = WEB.exec(lower) ?? [];
    const usual = authority === '' ? lower : `${scheme}://${withoutUsualPort(scheme, authority)}`;
    return (
      this.#allowed.has(usual) ||
      this.#wildcards.some((wildcard) => isBelow(usual, wildcard)) ||
      this.#isOwn(lower, host)
    );
  }

  /** The response headers that let a page of this origin read the response (Fetch standard, CORS protocol). */
  headers(origin: string, host = ''): readonly (readonly [string, string])[] {
    if (this.#any) return [['Access-Control-Allow-Origin', '*']];
    if (origin === '' || !this.allows(origin, host)) return [['Vary', 'Origin']];
    return [
      ['Access-Control-Allow-Origin', origin],
      ['Access-Control-Allow-Credentials', 'true'],
      ['Vary', 'Origin'],
    ];
  }

  #isOwn(origin: string, host: string): boolean {
    // Older versions of React Native end it with a slash.
    const [, scheme = '', authority = '', name = ''] = WEB.exec(origin.replace(/\/$/, '')) ?? [];
    if (authority === '') return false;
    if (withoutUsualPort(scheme, authority) !== withoutUsualPort(scheme, host.toLowerCase())) return false;
    return this.#hosts.has(name) || this.#domains.some((domain) => isBelow(name, ['', domain]));
  }
}
