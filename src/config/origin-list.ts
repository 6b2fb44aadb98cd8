import { z } from 'zod';
import { type Variable, commaList } from './variable.js';

/** An entry of the list as browsers send it, or what to write instead if that is known. */
type Entry = { readonly origin: string } | { readonly write: string | undefined };

/** Schemes of what has no origin of its own; browsers send `null` for it. */
const OPAQUE = /^(?:data|blob|about|javascript|filesystem):/i;
/** `scheme://` and what follows (RFC 3986). */
const WITH_SCHEME = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is;
/** Host names, numeric addresses and `[::1]`, as the URL standard writes them. */
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)$/;
/** Hosts of other schemes, which no standard brings to one form: `localhost`, an extension's id, `.`. */
const OTHER_HOST = /^[a-z0-9._~-]+(?::\d{1,5})?$/;
/** Hosts that are reached without TLS more often than not. */
const PLAIN_HOST = /^(?:localhost|[^.:/]+|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d+)?(?:[/?#]|$)/i;
/** What people put around an entry, or between two instead of a comma. */
const WRAPPING = /^(?:[\s"'`<(]|\[(?![0-9a-f:.]+\]))+|(?:[\s"'`>)]|(?<!\[[0-9a-f:.]*)\])+$/gi;
const BETWEEN = /[\s;|]+/;
/** Stands in for a star while the URL standard reads a host; a label that it leaves alone. */
const STAR = 'star-in-front';

/** The origin of a web page, by the URL standard: lower case, Punycode, no port where it is the scheme's own. */
function webOrigin(scheme: string, authority: string): string | undefined {
  const isBelow = authority.startsWith('*.');
  const text = `${scheme}://${isBelow ? `${STAR}${authority.slice(1)}` : authority}`;
  if (authority === '' || text.includes('*') || !URL.canParse(text)) return undefined;
  const { hostname, origin } = new URL(text);
  if (!HOST.test(hostname)) return undefined;
  if (!isBelow) return origin;
  return hostname.startsWith(`${STAR}.`) && hostname.length > STAR.length + 1 ? origin.replace(STAR, '*') : undefined;
}

/** The origin of an app or an extension, which has a scheme of its own. */
function otherOrigin(scheme: string, authority: string): string | undefined {
  const lower = authority.toLowerCase();
  if (scheme === 'file') return lower === '' ? 'file://' : undefined;
  return OTHER_HOST.test(lower) ? `${scheme}://${lower}` : undefined;
}

function originOf(scheme: string, authority: string): string | undefined {
  return scheme === 'http' || scheme === 'https' ? webOrigin(scheme, authority) : otherOrigin(scheme, authority);
}

/** What somebody may have meant who wrote `example.com`, `//example.com` or `https:example.com`. */
function withScheme(item: string): string | undefined {
  if (OPAQUE.test(item)) return 'null';
  const rest = item.replace(/^(?:https?|wss?)(?::\/*|\/\/)|^(?:\*:)?\/\//i, '');
  if (WITH_SCHEME.test(rest)) return undefined;
  const isPlain = /^(?:http|ws)[:/]/i.test(item) || (PLAIN_HOST.test(rest) && !/^(?:https|wss)[:/]/i.test(item));
  return readWhole(`${isPlain ? 'http' : 'https'}://${rest}`);
}

/** A text with a scheme as an origin, leaving out what an origin does not have: a user, a path, a query. */
function readWhole(item: string): string | undefined {
  const [, schemeAsWritten = '', rest = ''] = WITH_SCHEME.exec(item) ?? [];
  const scheme = schemeAsWritten.toLowerCase().replace(/^ws/, 'http');
  const isWeb = scheme === 'http' || scheme === 'https';
  const authority = (/^[^/?#\\]*/.exec(rest)?.[0] ?? '').replace(/^.*@/s, '');
  if (isWeb && /^\*(?::\d+)?$/.test(authority)) return '*';
  // `*example.com` and `https://*.*.example.com`: all names below the domain is the nearest that there is.
  const host = authority.replace(/^(?:\*\.?)+(?=[^*:.])/, '*.');
  return originOf(scheme, scheme === 'file' ? '' : isWeb ? host : authority);
}

function suggest(item: string): string | undefined {
  const bare = item.replaceAll(WRAPPING, '');
  if (bare === '') return undefined;
  const parts = bare.split(BETWEEN);
  if (parts.length > 1) {
    const each = parts.map((part) => suggest(part));
    return each.includes(undefined) ? undefined : each.join(',');
  }
  const known = readEntry(bare, false);
  if ('origin' in known) return known.origin;
  return WITH_SCHEME.test(bare) ? readWhole(bare) : withScheme(bare);
}

function readEntry(item: string, helps = true): Entry {
  if (item === '*') return { origin: item };
  if (item.toLowerCase() === 'null') return { origin: 'null' };
  const [, scheme = '', rest = ''] = WITH_SCHEME.exec(item) ?? [];
  // A slash at the end is what the address bar gives to whoever copies from it.
  const authority = rest.replace(/\/$/, '');
  const isClean = scheme !== '' && !/^wss?$/i.test(scheme) && !/[\s@/?#\\;|]/.test(authority);
  const origin = isClean ? originOf(scheme.toLowerCase(), authority) : undefined;
  if (origin !== undefined) return { origin };
  return { write: helps ? suggest(item) : undefined };
}

const TAKES =
  '* alone or a comma-separated list of origins as browsers send them: https://app.example.com, https://*.example.com, ' +
  'http://localhost:5173, capacitor://localhost, null';

/** What to write instead of an entry that is wrong. */
function hint(item: string, write: string | undefined): string {
  const quoted = JSON.stringify(item);
  if (write !== undefined) return `write ${write} instead of ${quoted}`;
  if (item.endsWith(':*')) return `list every port of ${quoted}, as in http://localhost:5173,http://localhost:5174`;
  if (!item.includes('*')) return `${quoted} is not an origin`;
  return `the star of ${quoted} can stand for all names below a domain, as in https://*.example.com, and for nothing else`;
}

/** What is wrong with a list, and the right form of each entry. */
function explain(value: string): string {
  const list = commaList(value);
  const hints = list.flatMap((item) => {
    const entry = readEntry(item);
    return 'origin' in entry ? [] : hint(item, entry.write);
  });
  if (hints.length === 0 && list.includes('*')) hints.push('write * alone for every origin, or leave it out');
  return hints.length === 0 ? TAKES : `${TAKES}; ${hints.join('; ')}`;
}

/** Variable `CORS_ORIGIN`: `*`, or origins in the form in which browsers send them, `*.` standing for all names below a domain. */
export const CORS_ORIGIN: Variable<string[]> = {
  schema: z.string().transform((value, context) => {
    const entries = commaList(value).map((item) => readEntry(item));
    const origins = entries.flatMap((entry) => ('origin' in entry ? [entry.origin] : []));
    const isWrong = origins.length === 0 || origins.length < entries.length;
    if (!isWrong && (origins.length === 1 || !origins.includes('*'))) return [...new Set(origins)];
    context.addIssue('not a list of origins');
    return z.NEVER;
  }),
  fallback: '*',
  takes: TAKES,
  explain,
};
