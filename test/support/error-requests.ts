import { HOST } from './processes.js';
import { RawClient } from './raw-client.js';

/** A request as it goes over the wire. */
function request(method: string, target: string, headers: Readonly<Record<string, string>> = {}, body = ''): string {
  const lines = Object.entries({ host: HOST, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

const SOCKET = '/socket.io/?EIO=4&transport=polling';

/** Requests that the public port refuses without a session, after which the connection may stay open. */
export const ERROR_REQUESTS: readonly string[] = [
  request('GET', '/socket.io/?EIO=4&transport=carrier-pigeon'),
  request('GET', '/socket.io/?EIO=3&transport=polling'),
  request('GET', `${SOCKET}&sid=none`),
  request('POST', `${SOCKET}&sid=none`, { 'content-length': '2' }, '40'),
  request('POST', SOCKET, { 'transfer-encoding': 'chunked' }, '2\r\n40\r\n0\r\n\r\n'),
  request('PUT', SOCKET),
  request('DELETE', `${SOCKET}&sid=none`),
  request('GET', SOCKET, { origin: 'https://not-listed.example' }),
  request('GET', '/there/is/nothing'),
  request('POST', '/v1/signals', { 'content-length': '2' }, '{}'),
];

/** Requests that a session refuses, the first of which ends it. */
const SESSION_REQUESTS: readonly ((query: string) => string)[] = [
  (query) => RawClient.request('POST', query),
  (query) => RawClient.request('POST', query, { 'content-length': '999999999' }),
  (query) => RawClient.request('POST', query, { 'content-length': '2', 'content-encoding': 'gzip' }) + '40',
];

const ROUNDS = 5;
const PIPELINED = 200;

/** Sends requests that are refused on one connection, and waits for their answers: one by one, or all at once. */
export async function sendErrors(port: number, from: string, i: number): Promise<void> {
  const client = await RawClient.connect(port, from);
  try {
    const sessionRequest = SESSION_REQUESTS[i % SESSION_REQUESTS.length];
    const session = sessionRequest?.(`transport=polling&sid=${await client.handshake()}`) ?? '';
    if (i % 2 === 0) {
      const all = Array.from({ length: PIPELINED }, (_, n) => ERROR_REQUESTS[n % ERROR_REQUESTS.length]);
      await client.send(all.join('') + session);
      for (let answers = 0; answers < PIPELINED; answers++) await client.take('HTTP/1.1 ');
      return;
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const one of ERROR_REQUESTS) {
        await client.send(one);
        await client.take('\r\n\r\n');
      }
    }
    await client.send(session);
    await client.take('\r\n\r\n');
  } finally {
    client.socket.destroy();
  }
}
