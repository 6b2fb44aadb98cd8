import type { HttpRequest } from 'uWebSockets.js';

/** Bytes of a header beside its name and value: `: ` and the end of the line. */
const AROUND_HEADER_BYTES = 4;
/** Bytes of a request line beside method, path and query: two spaces, `HTTP/1.1` and the end of the line. */
const AROUND_REQUEST_LINE_BYTES = 12;

/** What is wrong with the head of a request; a code of `errors.ts`. */
export type HeadDefect = 'headers_too_large' | 'bad_request';

/** Length of the word `close`. */
const CLOSE_LENGTH = 5;

/** The length of an empty body. */
const ZERO = /^0+$/;

/**
 * The head of a request, read once before any handler sees it: uWebSockets.js takes it back, and every look costs.
 *
 * Its size is that of the request line and every header as they come over the wire. What uWebSockets.js takes off the ends
 * of values (white space, bytes beyond ASCII) is not counted, and a character counts as one byte; it bounds both by
 * counting bytes itself: see {@link allowHeaders}.
 */
export class RequestHead {
  /** In lower case. */
  readonly method: string;
  readonly path: string;
  /** What follows the `?`, always a text: uWebSockets.js gives `undefined` for a request line without one. */
  readonly query: string;
  /** Unix time in ms. */
  readonly atMs = Date.now();
  /** Header `Origin`, empty if there was none. */
  origin = '';
  host = '';
  /**
   * Header `X-Forwarded-For`, all lines of it as one (RFC 9110, 5.3): a proxy may add a line of its own to one that the
   * client has made up, or sent empty.
   */
  forwardedFor = '';
  authorization = '';
  cookie = '';
  userAgent = '';
  /** Headers of a request for a WebSocket. */
  readonly webSocket = { key: '', protocol: '', extensions: '', version: '' };
  /** Header `Content-Length`, as a number; 0 without one. */
  contentLengthBytes = 0;
  /** Whether an empty body is announced. */
  isEmpty = false;
  /** Whether the client asks that the connection ends with the answer. */
  isLast = false;
  sizeBytes: number;
  #lengths = 0;
  #connections = 0;
  #codings = 0;
  #hosts = 0;
  #origins = 0;
  #tokens = 0;
  #isUndecoded = false;

  constructor(req: HttpRequest) {
    this.method = req.getMethod();
    this.path = req.getUrl();
    const query: string | undefined = req.getQuery();
    this.query = query ?? '';
    this.sizeBytes = AROUND_REQUEST_LINE_BYTES + this.method.length + this.path.length;
    if (this.query !== '') this.sizeBytes += this.query.length + 1;
    req.forEach((name, value) => this.#take(name, value));
  }

  /**
   * What is wrong with the head: a length that appears twice or together with a transfer coding, or a coding that is not decoded
   * here. Whoever believes another of them sees another request (RFC 9112, 6.3 and 11.2). The same holds for a host, an
   * origin and a token: this gateway and a proxy before it may each believe another one.
   *
   * @param maxBytes - longest head
   */
  defect(maxBytes: number): HeadDefect | undefined {
    if (this.sizeBytes > maxBytes) return 'headers_too_large';
    const isDoubled = this.#lengths + this.#codings > 1 || this.#hosts > 1 || this.#origins > 1 || this.#tokens > 1;
    return isDoubled || this.#isUndecoded ? 'bad_request' : undefined;
  }

  #take(name: string, value: string): void {
    this.sizeBytes += name.length + value.length + AROUND_HEADER_BYTES;
    switch (name) {
      case 'content-length':
        this.#lengths++;
        this.contentLengthBytes = Number(value);
        this.isEmpty = ZERO.test(value);
        return;
      case 'transfer-encoding':
        this.#codings++;
        this.#isUndecoded ||= value.toLowerCase() !== 'chunked';
        return;
      case 'connection':
        // uWebSockets.js closes the connection by the length of the first such header, and does not say so.
        if (this.#connections++ === 0) this.isLast = value.length === CLOSE_LENGTH;
        return;
      case 'host':
        this.#hosts++;
        this.host = value;
        return;
      case 'origin':
        this.#origins++;
        this.origin = value;
        return;
      case 'authorization':
        this.#tokens++;
        this.authorization = value;
        return;
      case 'cookie':
        this.cookie ||= value;
        return;
      case 'user-agent':
        this.userAgent ||= value;
        return;
      case 'sec-websocket-key':
        this.webSocket.key ||= value;
        return;
      case 'sec-websocket-protocol':
        this.webSocket.protocol ||= value;
        return;
      case 'sec-websocket-extensions':
        this.webSocket.extensions ||= value;
        return;
      case 'sec-websocket-version':
        this.webSocket.version ||= value;
        return;
      case 'x-forwarded-for':
        if (value !== '') this.forwardedFor = this.forwardedFor === '' ? value : `${this.forwardedFor}, ${value}`;
        return;
      default:
    }
  }
}

/** uWebSockets.js may read this many times `MAX_HEADER_BYTES`, so that what is beyond our limit gets an answer of ours. */
const HEADROOM = 2;

/** The longest head in bytes: a variable that uWebSockets.js reads once, when its binary is loaded. */
const BINARY_LIMIT = 'UWS_HTTP_MAX_HEADERS_SIZE';

/**
 * Lets uWebSockets.js read heads of twice `MAX_HEADER_BYTES`; it answers longer ones itself, with a bare 431. Call it before
 * the binary is loaded. A larger value that the operator has set stays.
 *
 * @param env - `process.env`
 */
export function allowHeaders(maxHeaderBytes: number, env: Record<string, string | undefined>): void {
  const set = env[BINARY_LIMIT] ?? '';
  // Anything that is not a number would be 0 to the binary, and every request refused.
  const wanted = /^\d{1,9}$/.test(set) ? Number(set) : 0;
  env[BINARY_LIMIT] = String(Math.max(maxHeaderBytes * HEADROOM, wanted));
}
