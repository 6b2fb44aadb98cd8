import type { HttpRequest, HttpResponse, TemplatedApp, WebSocket, WebSocketBehavior } from 'uWebSockets.js';
import type { ErrorBoundary, FaultStage } from './error-boundary.js';
import { GuardedRequest } from './guarded-request.js';
import { type AnswerPolicy, GuardedResponse } from './guarded-response.js';
import { RequestHead } from './request-head.js';

/** Answers a request. */
export type Handler = (res: GuardedResponse, req: GuardedRequest) => unknown;

/** Serves WebSockets, as in uWebSockets.js. */
export interface SocketBehavior<UserData> extends Omit<WebSocketBehavior<UserData>, 'upgrade'> {
  readonly upgrade?: (res: GuardedResponse, req: GuardedRequest, context: never) => unknown;
}

/** What the parts that serve clients need of an app. */
export interface RoutedApp {
  any(pattern: string, handler: Handler): unknown;
  options(pattern: string, handler: Handler): unknown;
  ws<UserData>(pattern: string, behavior: SocketBehavior<UserData>): unknown;
  /** Sends a text message to all subscribers. */
  publish(topic: string, text: string | Uint8Array, compress?: boolean): unknown;
  numSubscribers(topic: string): number;
}

/** How an app is guarded. */
export interface GuardOptions {
  readonly boundary: ErrorBoundary;
  /** What is added to every answer. */
  readonly policy?: AnswerPolicy | undefined;
  /** What every path begins with, such as `/feed`; handlers see paths without it. @default '' */
  readonly basePath?: string;
  /** Answers what no other handler does, also outside {@link basePath}. @default a bare 404 of uWebSockets.js */
  readonly rest?: { readonly any: Handler; readonly options: Handler };
  /** Longest head of a request, in bytes. @default no limit but that of uWebSockets.js */
  readonly maxHeaderBytes?: number;
}

/** One request under way. */
interface Exchange {
  readonly stage: FaultStage;
  readonly request: GuardedRequest;
  readonly response: GuardedResponse;
}

/** Closes a WebSocket that may be closed already, outside of the callback that it failed in. */
function cut(ws: WebSocket<unknown>): void {
  // `dropped` is called in the middle of a publish, where closing would end the process.
  setImmediate(() => {
    try {
      ws.close();
    } catch {
      // uWebSockets.js throws for a socket that is gone.
    }
  });
}

function describeSocket(ws: WebSocket<unknown>): string {
  try {
    return `WebSocket of ${Buffer.from(ws.getRemoteAddressAsText()).toString()}`;
  } catch {
    return 'WebSocket that is closed';
  }
}

/**
 * An app of uWebSockets.js on which no handler can be registered without the error boundary: the only place where
 * handlers are given to it.
 */
export class GuardedApp implements RoutedApp {
  readonly #native: TemplatedApp;
  readonly #guard: GuardOptions;
  readonly #basePath: string;
  readonly #maxHeaderBytes: number;

  constructor(native: TemplatedApp, guard: GuardOptions) {
    const { basePath = '', rest, maxHeaderBytes = Number.POSITIVE_INFINITY } = guard;
    this.#native = native;
    this.#guard = guard;
    this.#basePath = basePath;
    this.#maxHeaderBytes = maxHeaderBytes;
    if (rest === undefined) return;
    native.any('/*', this.#serving(rest.any));
    native.options('/*', this.#serving(rest.options));
  }

  any(pattern: string, handler: Handler): this {
    this.#native.any(this.#basePath + pattern, this.#serving(handler));
    return this;
  }

  options(pattern: string, handler: Handler): this {
    this.#native.options(this.#basePath + pattern, this.#serving(handler));
    return this;
  }

  ws<UserData>(pattern: string, behavior: SocketBehavior<UserData>): this {
    const { upgrade, open, message, dropped, drain, close, ping, pong, subscription, ...settings } = behavior;
    this.#native.ws<UserData>(this.#basePath + pattern, {
      ...settings,
      ...(upgrade && {
        upgrade: (res, req, context) =>
          this.#serve(this.#take('upgrade', res, req), (response, request) =>
            upgrade(response, request, context as never),
          ),
      }),
      ...(open && { open: this.#guarded('open', open) }),
      ...(message && { message: this.#guarded('message', message) }),
      ...(dropped && { dropped: this.#guarded('dropped', dropped) }),
      ...(drain && { drain: this.#guarded('drain', drain) }),
      ...(close && { close: this.#guarded('close', close) }),
      ...(ping && { ping: this.#guarded('ping', ping) }),
      ...(pong && { pong: this.#guarded('pong', pong) }),
      ...(subscription && { subscription: this.#guarded('subscription', subscription) }),
    });
    return this;
  }

  publish(topic: string, text: string | Uint8Array, compress = false): boolean {
    return this.#native.publish(topic, text, false, compress);
  }

  numSubscribers(topic: string): number {
    return this.#native.numSubscribers(topic);
  }

  #serving(handler: Handler): (res: HttpResponse, req: HttpRequest) => void {
    return (res, req) => this.#serve(this.#take('request', res, req), handler);
  }

  /** Reads the head of a request, and remembers it for the last words of the process. */
  #take(stage: FaultStage, res: HttpResponse, req: HttpRequest): Exchange {
    const head = new RequestHead(req);
    this.#guard.boundary.remember(head);
    const request = new GuardedRequest(req, head, this.#basePath.length);
    return { stage, request, response: new GuardedResponse(res, head, this.#guard) };
  }

  #serve({ stage, request, response }: Exchange, handler: Handler): void {
    try {
      const defect = request.head.defect(this.#maxHeaderBytes);
      if (defect === undefined) {
        const result = handler(response, request);
        if (result instanceof Promise) result.catch((error: unknown) => response.fail(stage, error));
      } else {
        // Nobody may know where its body ends, so nothing may follow on this connection. Not at once: uWebSockets.js would
        // continue with what came in the same packet. While a request is open it closes the connection for that instead.
        setImmediate(() => response.refuse(defect, [], true));
      }
    } catch (error) {
      response.fail(stage, error);
    }
    if (!response.isOver) response.hold();
  }

  /** A callback of a WebSocket: an error closes that one. */
  #guarded<UserData, Rest extends unknown[]>(
    stage: FaultStage,
    callback: (ws: WebSocket<UserData>, ...rest: Rest) => unknown,
  ): (ws: WebSocket<UserData>, ...rest: Rest) => void {
    const fail = (ws: WebSocket<UserData>, error: unknown): void => {
      const socket = ws as WebSocket<unknown>;
      this.#guard.boundary.fault({ stage, subject: describeSocket(socket), error }, () => cut(socket));
    };
    return (ws, ...rest) => {
      try {
        const result = callback(ws, ...rest);
        if (result instanceof Promise) result.catch((error: unknown) => fail(ws, error));
      } catch (error) {
        fail(ws, error);
      }
    };
  }
}
