/** An answer, taken apart by a reader that forgives nothing. */
export interface StrictAnswer {
  readonly status: number;
  /** As they came, the names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** One of {@link BARE}: uWebSockets.js wrote it before the gateway was asked. */
  readonly isBare: boolean;
  /** Whether `100 Continue` came before it. */
  readonly continued: boolean;
}

/** Thrown for bytes that are no HTTP/1.1 response (RFC 9110, RFC 9112). */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/**
 * All that uWebSockets.js answers by itself, byte for byte, to what it does not take for a request. Each lacks a length and
 * ends with its connection.
 */
export const BARE: readonly string[] = [
  ['400 Bad Request', '<h1>Bad Request</h1>'],
  ['431 Request Header Fields Too Large', '<h1>Request Header Fields Too Large</h1>'],
  [
    '505 HTTP Version Not Supported',
    '<h1>HTTP Version Not Supported</h1><p>This server does not support HTTP/1.0.</p>',
  ],
].map(([status, body]) => `HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n${body}<hr><i>uWebSockets/20 Server</i>`);

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e]*$/;
const HEADER_LINE =
  /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?[ \t]*$/;

/** Headers that mean nothing, or two things, when they come twice. */
const ONCE = [
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-max-age',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'etag',
  'location',
  'retry-after',
  'sec-websocket-accept',
  'transfer-encoding',
];

/** The values of a header. */
export function headerOf({ headers }: Pick<StrictAnswer, 'headers'>, name: string): string[] {
  return headers.filter(([key]) => key === name).map(([, value]) => value);
}

function readHead(head: string): Pick<StrictAnswer, 'status' | 'headers'> {
  const [statusLine = '', ...lines] = head.split('\r\n');
  const status = STATUS_LINE.exec(statusLine)?.[1];
  if (status === undefined) throw new Malformed(`status line ${JSON.stringify(statusLine)}`);
  const headers = lines.map((line): [string, string] => {
    const [, name, value = ''] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined) throw new Malformed(`header line ${JSON.stringify(line)}`);
    return [name.toLowerCase(), value];
  });
  for (const name of ONCE) {
    const values = headerOf({ headers }, name);
    if (values.length > 1) throw new Malformed(`${name} ${values.length} times: ${JSON.stringify(values)}`);
  }
  return { status: Number(status), headers };
}

/** The bytes that a body of the chunked coding has here; `undefined` while its end has not come. */
function readChunked(bytes: Buffer): { body: Buffer; size: number } | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = bytes.toString('latin1', at, end);
    if (!/^[0-9a-f]{1,8}$/i.test(line)) throw new Malformed(`chunk size ${JSON.stringify(line)}`);
    const size = parseInt(line, 16);
    if (bytes.length < end + 2 + size + 2) return undefined;
    if (bytes.toString('latin1', end + 2 + size, end + 4 + size) !== '\r\n')
      throw new Malformed('a chunk without an end');
    at = end + 4 + size;
    if (size === 0) return { body: Buffer.concat(parts), size: at };
    parts.push(bytes.subarray(end + 2, end + 2 + size));
  }
}

function readBody(
  { status, headers }: Pick<StrictAnswer, 'status' | 'headers'>,
  method: string,
  rest: Buffer,
): { body: Buffer; size: number } | undefined {
  const [length] = headerOf({ headers }, 'content-length');
  const [coding] = headerOf({ headers }, 'transfer-encoding');
  if (length !== undefined && !/^(0|[1-9]\d*)$/.test(length)) throw new Malformed(`Content-Length ${length}`);
  if (length !== undefined && coding !== undefined) throw new Malformed('Content-Length and Transfer-Encoding');
  const isBodiless = status < 200 || status === 204;
  if (isBodiless && (length ?? coding) !== undefined) throw new Malformed(`${status} with the length of a body`);
  if (isBodiless || status === 304 || method === 'HEAD') return { body: Buffer.alloc(0), size: 0 };
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new Malformed(`Transfer-Encoding ${coding}`);
    return readChunked(rest);
  }
  if (length === undefined) throw new Malformed(`${status} without the length of its body`);
  return rest.length < Number(length) ? undefined : { body: rest.subarray(0, Number(length)), size: Number(length) };
}

/**
 * Reads the first answer of a connection.
 *
 * @param bytes - what has come and was not yet read
 * @param method - of the request that it answers, in capitals
 * @param isClosed - whether nothing more can come
 * @returns the answer and what comes after it; `undefined` while it is not whole
 * @throws {@link Malformed}
 */
export function readAnswer(
  bytes: Buffer,
  method: string,
  isClosed: boolean,
): { readonly answer: StrictAnswer; readonly rest: Buffer } | undefined {
  let from = 0;
  // Of answers that are not the last there may be any number (RFC 9110, 15.2).
  while (bytes.toString('latin1', from, from + CONTINUE.length) === CONTINUE) from += CONTINUE.length;
  const end = bytes.indexOf('\r\n\r\n', from);
  if (end < 0) {
    // What can never become a status line is not waited for.
    const begun = bytes.toString('latin1', from, from + 'HTTP/1.1 '.length);
    if (!'HTTP/1.1 '.startsWith(begun)) throw new Malformed('something else where an answer should begin');
    return undefined;
  }
  const head = readHead(bytes.toString('latin1', from, end));
  const continued = from > 0;
  const all = bytes.toString('latin1', from);
  if (BARE.includes(all)) {
    const answer = { ...head, body: bytes.subarray(end + 4), isBare: true, continued };
    return { answer, rest: Buffer.alloc(0) };
  }
  if (!isClosed && BARE.some((bare) => bare.startsWith(all))) return undefined;
  const body = readBody(head, method, bytes.subarray(end + 4));
  if (body === undefined) return undefined;
  const answer = { ...head, body: body.body, isBare: false, continued };
  return { answer, rest: bytes.subarray(end + 4 + body.size) };
}

/** Checks the frames that a server sends over a WebSocket (RFC 6455, 5.2), as far as they have come. */
export function checkFrames(bytes: Buffer): void {
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first = 0, second = 0] = bytes.subarray(at);
    if ((first & 0x70) !== 0) throw new Malformed('a frame with a reserved bit');
    if (![0, 1, 2, 8, 9, 10].includes(first & 0x0f)) throw new Malformed(`a frame with opcode ${first & 0x0f}`);
    if ((second & 0x80) !== 0) throw new Malformed('a masked frame from a server');
    const short = second & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (at + head > bytes.length) return;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    at += head + length;
  }
}
