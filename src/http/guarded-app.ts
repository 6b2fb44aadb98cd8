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
  publish(topic: string, message: string | Uint8Array, isBinary: boolean, compress?: boolean): unknown;
  numSubscribers(topic: string): number;
}

/** How an app is guarded. */
export interface GuardOptions {
  readonly boundary: ErrorBoundary;
  /** What is added to every answer. */
  readonly policy?: AnswerPolicy | undefined;
  /** What every path begins with, such as `/feed`; handlers see paths without it. @default '' */
  readonly basePath?: string;
  /** Answers what no other handler does, outside of {@link basePath} too; without it uWebSockets.js does, with a bare 404. */
  readonly rest?: { readonly any: Handler; readonly options: Handler };
  /** Longest head of a request, in bytes. @default no limit but that of uWebSockets.js */
  readonly maxHeaderBytes?: number;
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
  readonly #boundary: ErrorBoundary;
  readonly #policy: AnswerPolicy | undefined;
  readonly #basePath: string;
  readonly #maxHeaderBytes: number;

  constructor(
    native: TemplatedApp,
    { boundary, policy, basePath = '', rest, maxHeaderBytes = Number.POSITIVE_INFINITY }: GuardOptions,
  ) {
    this.#maxHeaderBytes = maxHeaderBytes;
    this.#native = native;
    this.#boundary = boundary;
    this.#policy = policy;
    this.#basePath = basePath;
    if (rest === undefined) return;
    native.any('/*', (res, req) => this.#serve('request', res, req, rest.any));
    native.options('/*', (res, req) => this.#serve('request', res, req, rest.options));
  }

  any(pattern: string, handler: Handler): this {
    this.#native.any(this.#basePath + pattern, (res, req) => this.#serve('request', res, req, handler));
    return this;
  }

  options(pattern: string, handler: Handler): this {
    this.#native.options(this.#basePath + pattern, (res, req) => this.#serve('request', res, req, handler));
    return this;
  }

  ws<UserData>(pattern: string, behavior: SocketBehavior<UserData>): this {
    const { upgrade, open, message, dropped, drain, close, ping, pong, subscription, ...settings } = behavior;
    this.#native.ws<UserData>(this.#basePath + pattern, {
      ...settings,
      ...(upgrade && {
        upgrade: (res, req, context) =>
          this.#serve('upgrade', res, req, (guarded, request) => upgrade(guarded, request, context as never)),
      }),
      ...(open && { open: this.#guard('open', open) }),
      ...(message && { message: this.#guard('message', message) }),
      ...(dropped && { dropped: this.#guard('dropped', dropped) }),
      ...(drain && { drain: this.#guard('drain', drain) }),
      ...(close && { close: this.#guard('close', close) }),
      ...(ping && { ping: this.#guard('ping', ping) }),
      ...(pong && { pong: this.#guard('pong', pong) }),
      ...(subscription && { subscription: this.#guard('subscription', subscription) }),
    });
    return this;
  }

  publish(topic: string, message: string | Uint8Array, isBinary: boolean, compress = false): boolean {
    return this.#native.publish(topic, message, isBinary, compress);
  }

  numSubscribers(topic: string): number {
    return this.#native.numSubscribers(topic);
  }

  #serve(stage: FaultStage, res: HttpResponse, req: HttpRequest, handler: Handler): void {
    const head = new RequestHead(req);
    this.#boundary.remember(head);
    const response = new GuardedResponse(res, head, this.#boundary, this.#policy);
    try {
      const defect = head.defect(this.#maxHeaderBytes);
      if (defect === undefined) {
        const result = handler(response, new GuardedRequest(req, head, this.#basePath.length));
        if (result instanceof Promise) result.catch((error: unknown) => response.fail(stage, error));
      } else {
        // Where its body ends nobody may know, so nothing is to follow on this connection. Not now: uWebSockets.js would
        // go on with what came in the same packet. While a request is open it closes the connection for that instead.
        setImmediate(() => response.refuse(defect, [], true));
      }
    } catch (error) {
      response.fail(stage, error);
    }
    if (!response.isOver) response.hold();
  }

  /** A callback of a WebSocket: an error closes that one. */
  #guard<UserData, Rest extends unknown[]>(
    stage: FaultStage,
    callback: (ws: WebSocket<UserData>, ...rest: Rest) => unknown,
  ): (ws: WebSocket<UserData>, ...rest: Rest) => void {
    const fail = (ws: WebSocket<UserData>, error: unknown): void => {
      const socket = ws as WebSocket<unknown>;
      this.#boundary.fault(stage, describeSocket(socket), error, () => cut(socket));
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
