import { fuzzed } from './hostile.js';
import {
  AUTHORIZATIONS,
  BAD_LINES,
  BAD_METHODS,
  BAD_PATHS,
  EIOS,
  FORWARDED,
  METHODS,
  ORIGINS,
  OTHERS,
  PATHS,
  QUERIES,
  TRANSPORTS,
  type Line,
} from './http-fuzz-words.js';
import type { Random } from './random.js';
import { signal } from './signals.js';

/** Origins that a pod under such requests lists, and one that it does not. */
export const LISTED = ['https://app.example.com', 'http://localhost:5173'] as const;
export const FOREIGN = 'https://evil.example.org';

/** Session ids that requests may name. */
export interface KnownSids {
  /** Of sessions on long-polling that are as hostile as whoever uses them. */
  readonly polling: readonly string[];
  /** Of honest clients on a WebSocket; nobody can do anything with one over another connection. */
  readonly websocket: readonly string[];
}

/** A request, and what can be said of its answer. */
export interface FuzzedRequest {
  readonly bytes: Buffer;
  /** In capitals. */
  readonly method: string;
  /**
   * Nothing is wrong with it as a message of HTTP/1.1: it has to be answered by the gateway itself. Of all others the answer
   * may be missing, or one that uWebSockets.js writes.
   */
  readonly isProper: boolean;
  /** Whether it is one that a server may answer with a WebSocket. */
  readonly asksForWebSocket: boolean;
  /** Whether it has `Expect: 100-continue`. */
  readonly expectsContinue: boolean;
  /** Whether it says that no other comes after it on its connection. */
  readonly endsConnection: boolean;
  /** Values of its headers `Origin`, in order. */
  readonly origins: readonly string[];
  /** What follows the method. */
  readonly target: string;
}

/** A part of a request: its text, and whether it is proper. */
type Part = readonly [text: string, isProper: boolean];

/** True with a chance of one in so many. */
function oneIn(random: Random, many: number): boolean {
  return random.below(many) === 0;
}

function method(random: Random): Part {
  if (oneIn(random, 30)) return [random.pick(BAD_METHODS), false];
  return [random.below(3) === 0 ? random.pick(METHODS) : random.pick(['GET', 'GET', 'POST']), true];
}

function path(random: Random): Part {
  if (oneIn(random, 25)) return [random.pick(BAD_PATHS), false];
  if (oneIn(random, 40)) return [`/${'a/'.repeat(2000 + random.below(2000))}`, true];
  return [random.below(2) === 0 ? '/socket.io/' : random.pick(PATHS), true];
}

function unknownSid(random: Random): string {
  return random.pick([
    'x',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    '%00',
    'a'.repeat(3000),
    'AAAAAAAAAAAAAAAAAAAA',
    '\u00ff',
  ]);
}

function sid(random: Random, sids: KnownSids): string {
  const known = oneIn(random, 4) ? sids.websocket : sids.polling;
  return known.length === 0 || oneIn(random, 4) ? unknownSid(random) : random.pick(known);
}

function query(random: Random, sids: KnownSids, wantsWebSocket: boolean): string {
  if (oneIn(random, 6)) return oneIn(random, 2) ? '' : random.pick(QUERIES);
  const usual = wantsWebSocket ? 'websocket' : 'polling';
  const pairs = [`EIO=${random.pick(EIOS)}`, `transport=${random.below(3) > 0 ? usual : random.pick(TRANSPORTS)}`];
  if (random.below(2) === 0) pairs.push(`sid=${sid(random, sids)}`);
  const more = [
    't=abc',
    'b64=1',
    'j=0',
    'sid=',
    `sid=${sid(random, sids)}`,
    'transport=websocket',
    'transport=polling',
    'EIO=3',
  ];
  for (const odd of [
    'EIO=4',
    '%',
    '%f',
    'a',
    '=b',
    '&',
    '__proto__[x]=1',
    '\u00ff=\u00fe',
    'x=%ff%fe',
    'a=1+2',
    'a=b=c',
  ])
    more.push(odd);
  for (let extra = oneIn(random, 3) ? random.below(4) : 0; extra > 0; extra--) pairs.push(random.pick(more));
  if (oneIn(random, 40)) pairs.push(`x=${'y'.repeat(8192)}`);
  if (oneIn(random, 40)) pairs.push('a=b&'.repeat(1000));
  // The order decides which of two of a name is the last.
  if (oneIn(random, 3)) pairs.reverse();
  return `?${pairs.join('&')}`;
}

function origins(random: Random): string[] {
  if (random.below(3) === 0) return [];
  const one = (): string => (random.below(2) === 0 ? random.pick(LISTED) : random.pick([FOREIGN, ...ORIGINS]));
  return oneIn(random, 15) ? [one(), one()] : [one()];
}

/** Hosts, and whether a request may have them. */
function hosts(random: Random): readonly [lines: Line[], isProper: boolean] {
  if (!oneIn(random, 25))
    return [[[random.pick(['Host', 'host', 'HOST']), random.pick(['gateway', 'gateway:3000', '[::1]'])]], true];
  return [
    random.pick<Line[]>([
      [],
      [['Host', '']],
      [
        ['Host', 'a'],
        ['Host', 'b'],
      ],
      [['Host', '\u00ff']],
    ]),
    false,
  ];
}

const KEY: Line = ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='];
const UPGRADE: readonly Line[] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  KEY,
];

/** Lines that ask for a WebSocket, all or some, and whether a server may see in them that one is wanted. */
function upgrade(random: Random): readonly [lines: Line[], asks: boolean] {
  if (random.below(4) > 0) return [[], false];
  if (random.below(3) > 0) return [[...UPGRADE], true];
  const some = UPGRADE.filter(() => random.below(2) === 0);
  const odd: Line[] = [
    ['Upgrade', 'h2c'],
    ['Sec-WebSocket-Key', 'short'],
    ['Sec-WebSocket-Version', '8'],
    ['Sec-WebSocket-Key', '\u00ff'.repeat(24)],
  ];
  return [[...some, random.pick(odd)], true];
}

function lines(random: Random): Line[] {
  const list: Line[] = [];
  for (let many = random.below(4); many > 0; many--) list.push(random.pick(OTHERS));
  if (oneIn(random, 4)) list.push(['X-Forwarded-For', random.pick(FORWARDED)]);
  if (oneIn(random, 6)) list.push(['Authorization', random.pick(AUTHORIZATIONS)]);
  if (oneIn(random, 50)) list.push(['X-Long', 'x'.repeat(12_288)]);
  if (oneIn(random, 50)) for (let i = 0; i < 150; i++) list.push([`X-${i}`, '']);
  return list;
}

function content(random: Random): Buffer {
  const kinds: (() => Buffer | string)[] = [
    () => '',
    () => 'x',
    () => JSON.stringify(signal(random.below(1000))),
    () => `[${JSON.stringify(signal(1))},{"signal":null}]`,
    () => '{"user":"nobody","reason":"x"}',
    () => '{"a":',
    () =>
      random.pick(['40', '3', '1', '2probe', '42["subscribe",["A"]]', '40\x1e41', '\x1e\x1e', '6', '4'.repeat(100)]),
    () => fuzzed(random).payload,
    () => Array.from({ length: random.below(30) }, () => fuzzed(random).payload.toString()).join('\x1e'),
    () => random.bytes(random.below(200)),
    () => Buffer.alloc(20_480, random.pick(['x', '[', '\x1e', '4'])),
  ];
  return Buffer.from(random.pick(kinds)() as string);
}

/** The body, framed: by its length, in chunks, or in a way that no message may be framed. */
function body(random: Random, wanted: boolean): { lines: Line[]; bytes: Buffer; isProper: boolean } {
  const bytes = wanted || oneIn(random, 8) ? content(random) : Buffer.alloc(0);
  const length: Line = ['Content-Length', String(bytes.length)];
  if (oneIn(random, 12)) {
    const wrong: Line[][] = [
      [length, length],
      [length, ['Content-Length', '1']],
      [['Content-Length', '-1']],
      [['Content-Length', '']],
      [['Content-Length', '0x2']],
      [['Content-Length', '99999999999999999999']],
      [['Content-Length', String(bytes.length + 1 + random.below(100_000))]],
      [['Content-Length', String(Math.max(0, bytes.length - 1 - random.below(5)))]],
      [length, ['Transfer-Encoding', 'chunked']],
      [['Transfer-Encoding', 'chunked']],
      [['Transfer-Encoding', random.pick(['gzip', 'chunked, gzip', 'xchunked', ''])]],
    ];
    return { lines: random.pick(wrong), bytes, isProper: false };
  }
  if (bytes.length === 0 && random.below(2) === 0) return { lines: [], bytes, isProper: true };
  if (!oneIn(random, 5)) return { lines: [length], bytes, isProper: true };
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(random.below(3) === 0 ? 3 : bytes.length);
    const part = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
    at += size;
  }
  parts.push(Buffer.from('0\r\n\r\n'));
  return { lines: [['Transfer-Encoding', 'chunked']], bytes: Buffer.concat(parts), isProper: true };
}

/** Headers that fit: the gateway may refuse what has more of them before it is a request. */
const MOST_BYTES = 4000;
const MOST_LINES = 90;

/** Makes one request; what is usual in it outweighs what is not, so that most get past the first check. */
export function fuzzedRequest(random: Random, sids: KnownSids): FuzzedRequest {
  const [verb, properVerb] = method(random);
  const [where, properPath] = path(random);
  const [upgradeLines, asksForWebSocket] = upgrade(random);
  const target = where + query(random, sids, asksForWebSocket);
  const version: Part = oneIn(random, 40)
    ? [random.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.1 ', 'http/1.1', 'HTTP/0.9', '', 'HTTP/1.1\u0000']), false]
    : ['HTTP/1.1', true];
  const [hostLines, properHost] = hosts(random);
  const sent = origins(random);
  const sentBody = body(random, ['POST', 'PUT', 'PATCH'].includes(verb));
  const badLines = oneIn(random, 40) ? [random.pick(BAD_LINES)] : [];
  const expectsContinue = oneIn(random, 15);
  const headers: Line[] = [
    ...hostLines,
    ...upgradeLines,
    ...sent.map((origin): Line => ['Origin', origin]),
    ...lines(random),
    ...(expectsContinue ? [['Expect', '100-continue'] as const] : []),
    ...badLines,
    ...sentBody.lines,
  ];
  const head = [`${verb} ${target} ${version[0]}`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  // Latin-1: one byte for each character.
  const bytes = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), sentBody.bytes]);
  const fits = bytes.length - sentBody.bytes.length <= MOST_BYTES && headers.length <= MOST_LINES;
  return {
    bytes,
    method: verb.toUpperCase(),
    isProper:
      properVerb && properPath && version[1] && properHost && badLines.length === 0 && sentBody.isProper && fits,
    asksForWebSocket,
    expectsContinue,
    endsConnection: headers.some(([name, value]) => name === 'Connection' && value === 'close'),
    origins: sent,
    target,
  };
}
