import type { CompressOptions } from 'uWebSockets.js';

/** One parameter of an offer, with its value if it has one. */
type Parameter = readonly [name: string, value: string | undefined];

const EXTENSION = 'permessage-deflate';
/** RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+.^`|~\w-]+$/;
/** RFC 7692, 7.1.2: no leading zeros. */
const WINDOW_BITS = /^(?:[89]|1[0-5])$/;

/** The parts of a text between separators that do not stand in quotes, or `undefined` if a quote is never closed. */
function split(text: string, separator: ',' | ';'): string[] | undefined {
  const parts: string[] = [];
  let start = 0;
  let inQuotes = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (inQuotes && character === '\\') i++;
    else if (character === '"') inQuotes = !inQuotes;
    else if (character === separator && !inQuotes) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (inQuotes) return undefined;
  parts.push(text.slice(start));
  return parts;
}

/** Reads `name`, `name=value` and `name="value"`; `undefined` is anything else (RFC 6455, 9.1). */
function parameterOf(text: string): Parameter | undefined {
  const equals = text.indexOf('=');
  const name = (equals < 0 ? text : text.slice(0, equals)).trim();
  if (!TOKEN.test(name)) return undefined;
  if (equals < 0) return [name, undefined];
  const written = text.slice(equals + 1).trim();
  const isQuoted = written.length > 1 && written.startsWith('"') && written.endsWith('"');
  const value = isQuoted ? written.slice(1, -1).replaceAll(/\\(.)/g, '$1') : written;
  return TOKEN.test(value) ? [name, value] : undefined;
}

/** Whether a parameter can be granted with a compressor of this window; 0 is the shared one. */
function canGrant([name, value]: Parameter, windowBits: number): boolean {
  switch (name) {
    case 'client_no_context_takeover':
      return value === undefined;
    case 'client_max_window_bits':
      return value === undefined || WINDOW_BITS.test(value);
    case 'server_no_context_takeover':
      // A dedicated compressor keeps its context, and uWebSockets.js does not say so.
      return value === undefined && windowBits === 0;
    case 'server_max_window_bits':
      // The shared compressor has the largest window, and uWebSockets.js does not answer this parameter with it.
      return value !== undefined && WINDOW_BITS.test(value) && windowBits !== 0 && Number(value) >= windowBits;
    default:
      return false;
  }
}

/** Whether an offer is one of permessage-deflate that can be taken as it stands (RFC 7692, 7.1). */
function isAcceptable(offer: string, windowBits: number): boolean {
  const [name = '', ...rest] = split(offer, ';') ?? [];
  if (name.trim() !== EXTENSION) return false;
  const seen = new Set<string>();
  for (const text of rest) {
    const parameter = parameterOf(text);
    if (parameter === undefined || seen.has(parameter[0]) || !canGrant(parameter, windowBits)) return false;
    seen.add(parameter[0]);
  }
  return true;
}

/** The window of a compressor of uWebSockets.js in bits; 0 is the shared one (upstream's `PerMessageDeflate.h`). */
function windowBitsOf(compression: CompressOptions): number {
  return (compression >> 4) & 0xf;
}

/**
 * Chooses what uWebSockets.js is to see of `Sec-WebSocket-Extensions`. Of its own it takes the first thing that looks like
 * `permessage-deflate`, with parameters that it then ignores or answers wrongly: a client that asked for a window of eight
 * bits is given nine, and one that asked for a limit gets no answer to that and ends the connection.
 *
 * It is shown a bare `permessage-deflate` if one of the offers can be granted by the answer that it gives to that: with
 * the shared compressor `server_no_context_takeover`, with a dedicated one `server_max_window_bits` of its window, with
 * both `client_no_context_takeover`.
 *
 * @param offers - the header, with one offer or more in the client's order
 * @param compression - the compressor of the WebSocket route
 * @returns the header to hand to `upgrade`; empty declines compression
 */
export function chooseOffer(offers: string, compression: CompressOptions): string {
  if (compression === 0 || offers === '') return '';
  const windowBits = windowBitsOf(compression);
  const isOneAcceptable = split(offers, ',')?.some((offer) => isAcceptable(offer, windowBits)) ?? false;
  return isOneAcceptable ? EXTENSION : '';
}
