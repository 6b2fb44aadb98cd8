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

/** A request as it is remembered. */
interface RecentRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Unix time in ms. */
  readonly atMs: number;
}

/** Requests remembered for the last words of a process. */
const REMEMBERED = 8;

const MAX_PATH_LENGTH = 200;

/** Values that say how a client connects, and nothing that opens a session. */
const SHOWN_PARAMETERS = new Set(['EIO', 'transport']);
const MAX_VALUE_LENGTH = 16;

/** Of a query the names, and the values that are no secret: a `sid` is a key to its session. */
function withoutSecrets(query: string): string {
  return query
    .slice(0, MAX_PATH_LENGTH)
    .split('&')
    .map((parameter) => {
      const at = parameter.indexOf('=');
      if (at < 0) return parameter;
      const name = parameter.slice(0, at);
      const value = parameter.slice(at + 1);
      return SHOWN_PARAMETERS.has(name) && value.length <= MAX_VALUE_LENGTH ? parameter : `${name}=…`;
    })
    .join('&');
}

/** A request line for logs: the path and the query shortened, and without what opens a session. */
export function describeRequest(method: string, path: string, query: string): string {
  const shown = query === '' ? '' : `?${withoutSecrets(query)}`;
  return `${method.toUpperCase()} ${path.slice(0, MAX_PATH_LENGTH)}${shown}`;
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

  /** @param report - told of every fault; MUST NOT throw */
  constructor(report: (fault: Fault) => void) {
    this.#report = report;
  }

  /** Remembers a request, for {@link recent}. */
  remember(method: string, path: string, query: string): void {
    if (this.#recent.length === REMEMBERED) this.#recent.shift();
    this.#recent.push({ method, path, query, atMs: Date.now() });
  }

  /** The newest requests, the last one first, each with how long ago it came: what a process was at when it ended. */
  recent(): string[] {
    const now = Date.now();
    return this.#recent
      .map(({ method, path, query, atMs }) => `${describeRequest(method, path, query)} (${now - atMs} ms ago)`)
      .toReversed();
  }

  /**
   * Reports an error, and ends what it belongs to.
   *
   * @param recover - ends the one request or connection; what it throws is dropped, since that is gone then
   */
  fault(stage: FaultStage, subject: string, error: unknown, recover?: () => void): void {
    this.#report({ stage, subject, error });
    try {
      recover?.();
    } catch {
      // Closed already: uWebSockets.js throws for what is gone.
    }
  }

  /** Runs work for a client; a promise that it returns is watched too. */
  run(stage: FaultStage, subject: () => string, work: () => unknown, recover?: () => void): void {
    try {
      const result = work();
      if (result instanceof Promise) {
        result.catch((error: unknown) => this.fault(stage, subject(), error, recover));
      }
    } catch (error) {
      this.fault(stage, subject(), error, recover);
    }
  }
}
