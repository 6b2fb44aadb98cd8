import { once } from 'node:events';
import { connect } from 'node:net';
import { HOST } from './processes.js';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/**
 * Sends bytes as they are and reads one answer, for requests that no HTTP client would send.
 *
 * @param chunks - written one after the other; writing goes on, and may fail, whatever the server does
 */
export async function rawRequest(port: number, chunks: Iterable<string | Uint8Array>): Promise<RawAnswer> {
  const socket = connect({ host: HOST, port });
  let answer = Buffer.alloc(0);
  const done = new Promise<RawAnswer>((resolve, reject) => {
    socket.on('data', (data) => {
      answer = Buffer.concat([answer, data]);
      const parsed = parse(answer);
      if (parsed !== undefined) resolve(parsed);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`the connection was closed after ${JSON.stringify(answer.toString())}`)));
  });
  // The loop below may fail first; the reason is awaited at the end.
  done.catch(() => {});
  try {
    await once(socket, 'connect');
    for (const chunk of chunks) {
      if (socket.destroyed) break;
      socket.write(chunk);
      await new Promise(setImmediate);
    }
    return await done;
  } finally {
    socket.destroy();
  }
}

function parse(bytes: Buffer): RawAnswer | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString().split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const body = bytes.subarray(end + 4);
  if (body.length < Number(headers.get('content-length') ?? 0)) return undefined;
  return { status: Number(statusLine.split(' ')[1]), headers, body: body.toString() };
}

/** The head of a POST of JSON. */
export function postHead(path: string, more: Readonly<Record<string, string>>): string {
  const headers = { host: HOST, 'content-type': 'application/json', ...more };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
