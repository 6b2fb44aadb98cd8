import type { RequestHead } from './request-head.js';

/** Where in the service of a client an error came up; the label `stage` of `gateway_unhandled_faults_total`. */
export const FAULT_STAGES = [
  'request',
  'body',
  'writable',
  'aborted',
  'upgrade',
  'open',
  'message',
  'dropped',
  'drain',
  'close',
  'ping',
  'pong',
  'subscription',
  'timer',
  'event',
  'promise',
  'process',
] as const;

/** One of {@link FAULT_STAGES}. */
export type FaultStage = (typeof FAULT_STAGES)[number];

/** An error that no part of the gateway handled. */
export interface Fault {
  readonly stage: FaultStage;
  readonly error: unknown;
  /** Who was served, for a person: a request line without its secrets, or a client. */
  readonly subject: string;
}

/** The client that work is done for. */
export interface Served {
  readonly stage: FaultStage;
  /** Names the client, for a person; called only when there is an error. */
  readonly subject: () => string;
}

/** A request as it is remembered. */
type RecentRequest = Pick<RequestHead, 'method' | 'path' | 'query' | 'atMs'>;

/** Requests remembered for the last words of a process. */
const REMEMBERED = 8;

const MAX_PATH_LENGTH = 200;

/** Parameters that say how a client connects, and nothing that opens a session. */
const SHOWN = /^(?:EIO=\d|transport=(?:polling|websocket))$/;
/** Names of parameters; anything else may be a secret that was put into the wrong place. */
const NAMES = new Set(['EIO', 'transport', 'sid', 't', 'b64', 'j', 'token', 'reason', 'after', 'limit']);

/** The known names of a query, and those values that are not secret: a `sid` is a key to its session. */
function withoutSecrets(query: string): string {
  return query
    .slice(0, MAX_PATH_LENGTH)
    .split('&')
    .map((parameter) => {
      if (SHOWN.test(parameter)) return parameter;
      const [name = '', value] = parameter.split('=', 2);
      const shown = NAMES.has(name) ? name : '...';
      return value === undefined ? shown : `${shown}=...`;
    })
    .join('&');
}

/** A request line for logs: the path and the query shortened, and without what opens a session. */
export function describeRequest(method: string, path: string, query: string): string {
  const shown = query === '' ? '' : `?${withoutSecrets(query)}`;
  // A query that lost its question mark stands in the path.
  const [clean = ''] = path.slice(0, MAX_PATH_LENGTH).split(/[&=;]/, 1);
  return `${method.toUpperCase()} ${clean}${clean.length < path.length ? '...' : ''}${shown}`;
}

/**
 * Keeps an error in the service of one client from everybody else.
 *
 * uWebSockets.js calls JavaScript from its own loop: what is thrown there ends the process. So every callback that it is
 * given runs inside a boundary, which reports the error and ends that one request or connection.
 */
export class ErrorBoundary {
  readonly #report: (fault: Fault) => void;
  readonly #recent: RecentRequest[] = [];
  #next = 0;

  /** @param report - called with every fault; MUST NOT throw */
  constructor(report: (fault: Fault) => void) {
    this.#report = report;
  }

  /** Remembers a request, for {@link recent}. */
  remember(request: RecentRequest): void {
    this.#recent[this.#next] = request;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** The newest requests, the last one first, each with how long ago it came: what a process was at when it ended. */
  recent(): string[] {
    const now = Date.now();
    return this.#recent
      .toSorted((one, other) => other.atMs - one.atMs)
      .map(({ method, path, query, atMs }) => `${describeRequest(method, path, query)} (${now - atMs} ms ago)`);
  }

  /**
   * Reports an error, and ends what it belongs to.
   *
   * @param recover - ends the one request or connection; what it throws is dropped, since that is gone then
   */
  fault(fault: Fault, recover?: () => void): void {
    this.#report(fault);
    try {
      recover?.();
    } catch {
      // Closed already: uWebSockets.js throws for what is gone.
    }
  }

  /** Runs work for a client; a promise that it returns is watched too. */
  run({ stage, subject }: Served, work: () => unknown, recover?: () => void): void {
    const fail = (error: unknown): void => this.fault({ stage, subject: subject(), error }, recover);
    try {
      const result = work();
      if (result instanceof Promise) result.catch(fail);
    } catch (error) {
      fail(error);
    }
  }
}
