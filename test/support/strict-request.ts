import { HttpExchange } from './http-exchange.js';
import { type StrictAnswer, headerOf } from './strict-http.js';

/** A request with any header one likes. */
export interface StrictRequest {
  /** @default GET */
  readonly method?: string;
  /** With the query. */
  readonly target: string;
  /** Beside `Host`, and `Content-Length` where there is a body. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Headers that ask for a WebSocket. */
export const WEBSOCKET = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
} as const;

/** ms for an answer. */
const LIMIT = 15_000;

/** Sends a request over a connection of its own and reads the answer strictly. */
export async function strictRequest(port: number, request: StrictRequest): Promise<StrictAnswer> {
  const { method = 'GET', target, headers = {}, body = '' } = request;
  const isChunked = 'Transfer-Encoding' in headers;
  const all = {
    Host: 'gateway',
    ...(body === '' || isChunked ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const exchange = await HttpExchange.open(port);
  try {
    await exchange.send(Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`, 'latin1'));
    const answer = await exchange.answer(method, LIMIT);
    if (typeof answer === 'string') throw new Error(`${method} ${target}: ${answer}, no answer`);
    if (answer.status !== 101 && exchange.rest.length > 0) {
      throw new Error(`${method} ${target}: ${exchange.rest.toString()} after the answer`);
    }
    return answer;
  } finally {
    exchange.end('RST');
  }
}

/** The only value of a header; `undefined` when there is none. */
export function onlyHeader(answer: StrictAnswer, name: string): string | undefined {
  const values = headerOf(answer, name);
  if (values.length > 1) throw new Error(`${name} ${values.length} times: ${values.join(' and ')}`);
  return values[0];
}
