import type { AdminRequest } from '../admin/http.js';
import { Problem } from '../errors.js';
import { isLoopback } from '../loopback.js';

/** Why the page may not publish; member `reason` of the problem. */
export type PublishRefusal = 'api_key' | 'proxy' | 'address' | 'host' | 'origin';

/** What of the configuration decides whether the page may publish at all. */
export interface SameMachineOptions {
  /** Whoever has set keys wants to see one, and a page has none. */
  readonly needsKey: boolean;
  /** Whether proxies stand before the gateway (`TRUST_PROXY`). */
  readonly behindProxy: boolean;
  readonly tls: boolean;
}

const DETAILS: Readonly<Record<PublishRefusal, string>> = {
  api_key: 'API_KEY is set: publish with a key, through the admin port.',
  proxy: 'The request came through a proxy. Open the page from the machine that the gateway runs on.',
  address: 'The request came from another machine. Open the page from the machine that the gateway runs on.',
  host: 'The page was opened under a name that is not this machine. Open it at http://localhost.',
  origin: 'The request is not from the dashboard of this gateway.',
};

/** Headers that proxies add. Any of them shows that the caller may be anywhere. */
const PROXY_HEADER =
  /^(?:forwarded|via|x-forwarded(?:-.+)?|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|x-original-.+|x-request-id|x-amzn-.+|cdn-loop|cf-.+|fastly-.+|fly-.+|l5d-.+|x-envoy-.+)$/;

/** A name that no name server can be made to give for this machine: against DNS rebinding. */
const LOCAL_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/;

/**
 * Why a page that sends this request may not publish: only one that was opened on the gateway's own machine may.
 *
 * @param needsOrigin - browsers name the page's origin when they POST, and not when a page reads from where it came from
 * @returns `undefined` when it may
 */
export function publishRefusal(
  request: AdminRequest,
  options: SameMachineOptions,
  needsOrigin: boolean,
): PublishRefusal | undefined {
  if (options.needsKey) return 'api_key';
  if (options.behindProxy || request.headerNames.some((name) => PROXY_HEADER.test(name))) return 'proxy';
  if (!isLoopback(request.remoteAddress)) return 'address';
  const host = request.header('host').toLowerCase();
  if (!LOCAL_HOST.test(host)) return 'host';
  if (needsOrigin && request.header('origin').toLowerCase() !== `${options.tls ? 'https' : 'http'}://${host}`) {
    return 'origin';
  }
  return undefined;
}

/** @returns a guard that throws a {@link Problem} `not_same_machine` for everyone but a page opened on this machine */
export function sameMachineGuard(options: SameMachineOptions): (request: AdminRequest) => void {
  return (request) => {
    const reason = publishRefusal(request, options, true);
    if (reason !== undefined) throw new Problem('not_same_machine', DETAILS[reason], { members: { reason } });
  };
}
