import type { HttpRequest } from 'uWebSockets.js';

/** What stands between a name and its value and after it: `: ` and the end of the line. */
const AROUND_HEADER = 4;
/** What a request line has beside method, path and query: two spaces, ` HTTP/1.1` without its space, the end of the line. */
const AROUND_REQUEST_LINE = 12;

/** What is wrong with the head of a request; a code of `errors.ts`. */
export type HeadDefect = 'headers_too_large' | 'bad_request';

/** That of the word `close`. */
const CLOSE_LENGTH = 5;

/** The length of a body that has no bytes. */
const ZERO = /^0+$/;

/**
 * The head of a request, read once before any handler sees it, since uWebSockets.js takes it back and every look costs.
 *
 * Its size is that of the request line and every header as they come over the wire. What uWebSockets.js takes off the ends
 * of values (white space, bytes beyond ASCII) is not counted, and a character counts as one byte; it bounds both by
 * counting bytes itself: see {@link allowHeaders}.
 */
export class RequestHead {
  /** In lower case. */
  readonly method: string;
  readonly path: string;
  /** What follows the `?`; a text in every case, where uWebSockets.js gives `undefined` for a request line without one. */
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
  /** Of a request for a WebSocket. */
  readonly webSocket = { key: '', protocol: '', extensions: '', version: '' };
  /** Whether a body of no bytes is announced. */
  isEmpty = false;
  /** Whether the connection ends with the answer, as the client asks. */
  isLast = false;
  /** In bytes. */
  size: number;
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
    this.size = AROUND_REQUEST_LINE + this.method.length + this.path.length;
    if (this.query !== '') this.size += this.query.length + 1;
    req.forEach((name, value) => this.#take(name, value));
  }

  /**
   * What is wrong with it. A length that is said twice, or beside a transfer coding, and a coding that is not decoded here:
   * whoever believes another of them sees another request (RFC 9112, 6.3 and 11.2). The same for a host, an origin and a
   * token: this gateway and whatever stands before it may each believe another one.
   *
   * @param maxBytes - longest head
   */
  defect(maxBytes: number): HeadDefect | undefined {
    if (this.size > maxBytes) return 'headers_too_large';
    const isDoubled = this.#lengths + this.#codings > 1 || this.#hosts > 1 || this.#origins > 1 || this.#tokens > 1;
    return isDoubled || this.#isUndecoded ? 'bad_request' : undefined;
  }

  #take(name: string, value: string): void {
    this.size += name.length + value.length + AROUND_HEADER;
    switch (name) {
      case 'content-length':
        this.#lengths++;
        this.isEmpty = ZERO.test(value);
        return;
      case 'transfer-encoding':
        this.#codings++;
        this.#isUndecoded ||= value.toLowerCase() !== 'chunked';
        return;
      case 'connection':
        // As uWebSockets.js decides it, which closes the connection and does not say so: by the length of the first such header.
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

/** How many times `MAX_HEADER_BYTES` uWebSockets.js is let read, so that what is beyond our limit gets an answer of ours. */
const HEADROOM = 2;

/** The variable that uWebSockets.js reads when its binary is loaded, and never again: the longest head, in bytes. */
const BINARY_LIMIT = 'UWS_HTTP_MAX_HEADERS_SIZE';

/**
 * Has uWebSockets.js take heads of twice `MAX_HEADER_BYTES`; what is longer it answers itself, with a bare 431. To be
 * called before its binary is loaded. What an operator has set stays when it is more.
 *
 * @param env - `process.env`
 */
export function allowHeaders(maxHeaderBytes: number, env: Record<string, string | undefined>): void {
  const set = env[BINARY_LIMIT] ?? '';
  // Anything that is not a number would be 0 to the binary, and every request refused.
  const wanted = /^\d{1,9}$/.test(set) ? Number(set) : 0;
  env[BINARY_LIMIT] = String(Math.max(maxHeaderBytes * HEADROOM, wanted));
}
