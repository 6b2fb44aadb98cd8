import type { HttpResponse } from 'uWebSockets.js';
import { HTTP_ERRORS, type HttpErrorCode, REFUSALS, type RefusalCode } from '../errors.js';
import { type ErrorBoundary, type FaultStage, describeRequest } from './error-boundary.js';
import type { RequestHead } from './request-head.js';
import { sendBody } from './send-body.js';
import { statusText } from './status-text.js';

/** A text or bytes, as uWebSockets.js takes them. */
type Text = Parameters<HttpResponse['writeHeader']>[0];

/** What an upgrade takes, in the order of uWebSockets.js, which engine.io calls it in. */
type UpgradeArguments = Parameters<HttpResponse['upgrade']>;

/** Names and values of response headers. */
export type Headers = readonly (readonly [name: string, value: string])[];

/** A request that was refused. */
export interface Refusal {
  /** A stable code: of the registries in `errors.ts`, or one that whoever answered has set. */
  readonly code: string;
  readonly status: number;
  /** The request line, without its secrets. */
  readonly request: string;
  /** Header `Origin`, empty if there was none. */
  readonly origin: string;
  /** Header `Host` beside an origin. */
  readonly host: string;
  /** Where it came from: the peer's address. */
  readonly address: string;
  /** Header `X-Forwarded-For`, empty if there was none. */
  readonly forwardedFor: string;
}

/** An error that is answered by the wrapper itself. */
export interface AnsweredError {
  readonly code: string;
  readonly status: number;
  /** For a person. */
  readonly message: string;
}

/** How an error is written. */
export interface ErrorBody {
  readonly contentType: string;
  readonly text: string;
}

/** What a port adds to every answer, whoever makes it. */
export interface AnswerPolicy {
  /** How errors are written. @default JSON with `code` and `message` */
  readonly errorBody?: (error: AnsweredError) => ErrorBody;
  /**
   * Headers of every answer to a request.
   *
   * @param origin - header `Origin`, empty if there was none
   * @param host - header `Host` beside an origin
   * @param isOpen - whether pages of any origin may read the answer
   */
  headers(origin: string, host: string, isOpen: boolean): Headers;
  /** Called with every answer from status 400 on, and with what else counts as a refusal. MUST NOT throw. */
  onRefused(refusal: Refusal): void;
}

const NO_BYTES = new ArrayBuffer(0);

/**
 * How long a connection on which nothing is asked may be kept, in seconds: uWebSockets.js closes it after 8 to 12, and a
 * proxy that keeps one for longer would send a request into a connection that is being closed.
 */
const KEEP_ALIVE = ['Keep-Alive', 'timeout=7'] as const;

/**
 * Sent if the client asks for it: uWebSockets.js then closes the connection without a header that says so, and a client with a
 * pool of connections, such as Node.js, would send its next request into it.
 */
const CLOSE = ['Connection', 'close'] as const;

/** The code of an error that came without one, by its status: the first of that status. */
const CODES = new Map<number, HttpErrorCode>(
  Object.entries(HTTP_ERRORS)
    .map(([code, { status }]): [number, HttpErrorCode] => [status, code as HttpErrorCode])
    .toReversed(),
);

/** What a response is guarded with. */
export interface ResponseGuard {
  readonly boundary: ErrorBoundary;
  /** What is added to every answer. */
  readonly policy?: AnswerPolicy | undefined;
}

/** An answer of ours to what is refused. */
interface RefusalAnswer {
  readonly status: number;
  readonly message: string;
  readonly retryAfter?: number;
}

function answerFor(code: RefusalCode | HttpErrorCode): RefusalAnswer {
  return code in REFUSALS ? REFUSALS[code as RefusalCode] : HTTP_ERRORS[code as HttpErrorCode];
}

/**
 * A response as handlers see it. Whatever a handler does, its client gets one well-formed answer:
 *
 * - once the client is gone or the answer has ended, every further call does nothing (uWebSockets.js would throw);
 * - callbacks run inside the error boundary, and an error is answered with 500;
 * - every answer has the headers of the port's policy; every error has a body that says its code, and is counted;
 * - the answer to a HEAD request has no body, and the answer to a client that does not read does not fill the memory.
 */
export class GuardedResponse {
  /** The code of an error, for the policy, where its status says too little. */
  code: string | undefined = undefined;
  /** Chooses from `Sec-WebSocket-Extensions` what an upgrade sees, whoever carries it out. */
  chooseExtensions: ((offers: string) => string) | undefined = undefined;
  readonly #native: HttpResponse;
  readonly #request: RequestHead;
  readonly #guard: ResponseGuard;
  #onAborted: (() => void)[] | undefined = undefined;
  #isHeld = false;
  #status = 0;
  #isOpen = false;
  #isOver = false;

  constructor(native: HttpResponse, request: RequestHead, guard: ResponseGuard) {
    this.#native = native;
    this.#request = request;
    this.#guard = guard;
  }

  /**
   * Lets the answer come after the handler has returned: without a listener that learns when the client goes, uWebSockets.js
   * ends the process. MUST be called before the handler returns, if the answer has not ended by then; most have, and a listener
   * costs as much as the rest of a connect. May be called twice.
   */
  hold(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.#native.onAborted(() => {
      // The answer has ended and was only not read yet: nobody needs to know.
      if (this.#isOver) return;
      this.#isOver = true;
      for (const handler of this.#onAborted ?? []) this.#run('aborted', handler);
    });
  }

  /** Whether nothing more can be answered: the client is gone, or has its answer. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Lets pages of any origin read the answer. Call it before the answer begins. */
  openToAll(): this {
    this.#isOpen = true;
    return this;
  }

  /**
   * Answers with an error of the registry: its status, and a body with code and message.
   *
   * @param closeConnection - whether the connection ends with the answer
   */
  refuse(code: RefusalCode | HttpErrorCode, headers: Headers = [], closeConnection = false): void {
    const { status, message, retryAfter } = answerFor(code);
    this.code = code;
    this.cork(() => {
      this.writeStatus(statusText(status));
      for (const [name, value] of headers) this.writeHeader(name, value);
      if (retryAfter !== undefined) {
        // A page may read only the usual headers unless others are exposed (Fetch standard, CORS-safelisted).
        this.writeHeader('Retry-After', String(retryAfter)).writeHeader('Access-Control-Expose-Headers', 'Retry-After');
      }
      const { contentType, text } = this.#errorBody({ code, message, status });
      this.writeHeader('Content-Type', contentType).end(text, closeConnection);
    });
  }

  /**
   * Counts a refusal under a code. Every answer from 400 on is counted by itself; this is for one that the client learns of in
   * another way, such as a WebSocket that is opened and closed. MUST be called before the answer ends.
   */
  countRefusal(code: string, status: number): void {
    const { origin, host, forwardedFor } = this.#request;
    const address = Buffer.from(this.#native.getRemoteAddressAsText()).toString();
    this.#guard.policy?.onRefused({ code, status, request: this.#line(), origin, host, address, forwardedFor });
  }

  /** Reports an error whose answer the caller makes. */
  report(stage: FaultStage, error: unknown): void {
    this.#guard.boundary.fault({ stage, subject: this.#line(), error });
  }

  /** Reports an error, and answers with 500 if nothing was answered yet; else the connection is closed. */
  fail(stage: FaultStage, error: unknown): void {
    this.#guard.boundary.fault({ stage, subject: this.#line(), error }, () => {
      if (this.#status === 0) this.refuse('internal');
      // Not now: it may be in a callback for a part of a body, after which uWebSockets.js goes on reading.
      else setImmediate(() => this.close());
    });
  }

  /** Begins the answer; only the first call counts. */
  writeStatus(status: Text): this {
    if (this.#isOver || this.#status !== 0) return this;
    const text = status as string;
    this.#status = Number.parseInt(text, 10);
    this.#native.writeStatus(text);
    const { policy } = this.#guard;
    if (this.#status === 101 || policy === undefined) return this;
    const headers = policy.headers(this.#request.origin, this.#request.host, this.#isOpen);
    for (const [name, value] of headers) this.#native.writeHeader(name, value);
    return this;
  }

  writeHeader(key: Text, value: Text): this {
    if (this.#isOver) return this;
    if (this.#status === 0) this.writeStatus('200 OK');
    this.#native.writeHeader(key, value);
    return this;
  }

  /** @param closeConnection - whether the connection ends with the answer */
  end(body?: Text, closeConnection = false): this {
    if (this.#isOver) return this;
    if (this.#status === 0) this.writeStatus('200 OK');
    let bytes = body === undefined ? '' : (body as string | Uint8Array);
    if (this.#status >= 400) bytes = this.#finishRefusal(bytes);
    this.#isOver = true;
    const isHead = this.#request.method === 'head';
    if (closeConnection) {
      // If the client has not asked for it, uWebSockets.js sends the header.
      if (this.#request.isLast) this.#writeKeeping();
      this.#native.end(isHead ? '' : bytes, true);
      return this;
    }
    this.#writeKeeping();
    if (isHead) {
      // Given the length as an argument, uWebSockets.js would wait for a body that does not come.
      this.#native.writeHeader('Content-Length', String(Buffer.byteLength(bytes)));
      this.#native.endWithoutBody();
    } else if (!sendBody(this.#native, bytes)) this.hold();
    return this;
  }

  endWithoutBody(): this {
    if (this.#isOver) return this;
    if (this.#status === 0) this.writeStatus('200 OK');
    this.#isOver = true;
    this.#writeKeeping();
    this.#native.endWithoutBody();
    return this;
  }

  close(): this {
    if (this.#isOver) return this;
    // So that this response knows that it is over.
    this.hold();
    this.#native.close();
    return this;
  }

  /** Adds a handler; all that were added are called, in order. */
  onAborted(handler: () => void): this {
    (this.#onAborted ??= []).push(handler);
    return this;
  }

  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): this {
    if (this.#isOver) return this;
    // uWebSockets.js never reports the end of an empty body whose head came in two packets.
    if (this.#request.isEmpty) queueMicrotask(() => this.#isOver || this.#run('body', () => handler(NO_BYTES, true)));
    else this.#native.onData((chunk, isLast) => this.#run('body', () => handler(chunk, isLast)));
    return this;
  }

  pause(): void {
    if (!this.#isOver) this.#native.pause();
  }

  resume(): void {
    if (!this.#isOver) this.#native.resume();
  }

  getRemoteAddress(): ArrayBuffer {
    return this.#isOver ? NO_BYTES : this.#native.getRemoteAddress();
  }

  getRemoteAddressAsText(): ArrayBuffer {
    return this.#isOver ? NO_BYTES : this.#native.getRemoteAddressAsText();
  }

  cork(work: () => void): this {
    if (this.#isOver) return this;
    // An error must not pass through native code.
    this.#native.cork(() => this.#run('request', work));
    return this;
  }

  upgrade(...[userData, key, protocol, extensions, context]: UpgradeArguments): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const chosen = this.chooseExtensions === undefined ? extensions : this.chooseExtensions(extensions as string);
    this.#native.upgrade(userData, key, protocol, chosen, context);
  }

  /** @returns the body of an error: one with the code where there was none */
  #finishRefusal(body: string | Uint8Array): string | Uint8Array {
    const status = this.#status;
    const known = CODES.get(status) ?? (status < 500 ? 'bad_request' : 'internal');
    const code = this.code ?? known;
    this.countRefusal(code, status);
    if (body.length > 0) return body;
    const { contentType, text } = this.#errorBody({ code, message: HTTP_ERRORS[known].message, status });
    this.#native.writeHeader('Content-Type', contentType);
    return text;
  }

  /** Says whether the connection stays open. */
  #writeKeeping(): void {
    const [name, value] = this.#request.isLast ? CLOSE : KEEP_ALIVE;
    this.#native.writeHeader(name, value);
  }

  #errorBody(error: AnsweredError): ErrorBody {
    const written = this.#guard.policy?.errorBody?.(error);
    if (written !== undefined) return written;
    const { code, message } = error;
    return { contentType: 'application/json', text: JSON.stringify({ code, message }) };
  }

  #line(): string {
    const { method, path, query } = this.#request;
    return describeRequest(method, path, query);
  }

  #run(stage: FaultStage, work: () => unknown): void {
    try {
      work();
    } catch (error) {
      this.fail(stage, error);
    }
  }
}
