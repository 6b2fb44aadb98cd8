import { type FuzzedRequest, LISTED } from './http-fuzz.js';
import { type StrictAnswer, headerOf } from './strict-http.js';

/** Methods that are told apart; of all others one is like the other. */
const KNOWN = ['GET', 'POST', 'HEAD', 'OPTIONS'];

/** Faults of answers by kind, each with how often it was seen and the first request that brought it about. */
export class FaultBook {
  readonly #kinds = new Map<string, { times: number; first: string }>();

  note(fault: string, about: FuzzedRequest, where: string): void {
    const kind = `${KNOWN.includes(about.method) ? about.method : 'other'}: ${fault}`;
    const known = this.#kinds.get(kind);
    if (known !== undefined) known.times++;
    else this.#kinds.set(kind, { times: 1, first: `${where} ${shown(about.bytes)}` });
  }

  /** One line for each kind, the most frequent first. */
  lines(): string[] {
    return [...this.#kinds]
      .toSorted(([, a], [, b]) => b.times - a.times)
      .map(([kind, { times, first }]) => `${kind} (${times} times), first: ${first}`);
  }
}

/** A request as it can be written into a script again; of a long run of one character only its length. */
export function shown(bytes: Buffer): string {
  const text = bytes
    .toString('latin1')
    .replaceAll(/(.{1,6}?)\1{40,}/g, (run: string, one: string) => `${one}…${run.length}…`);
  return JSON.stringify(text.slice(0, 600));
}

function isListed(origin: string): boolean {
  return (LISTED as readonly string[]).includes(origin);
}

/** What any page may read, without credentials. */
const OPEN_TO_ALL = /^\/asyncapi\.json(\?|$)/;

/** What lets a page read the answer, or keeps it from it: with a list of origins. */
function corsFault({ origins, target }: FuzzedRequest, answer: StrictAnswer): string | undefined {
  const allowed = headerOf(answer, 'access-control-allow-origin');
  const credentials = headerOf(answer, 'access-control-allow-credentials');
  const vary = headerOf(answer, 'vary').flatMap((value) => value.split(',').map((name) => name.trim().toLowerCase()));
  if (OPEN_TO_ALL.test(target) && allowed.join() === '*')
    return credentials.length > 0 ? '* with credentials' : undefined;
  if (!vary.includes('origin')) return 'no Vary: Origin';
  if (allowed.some((origin) => !isListed(origin) || !origins.includes(origin))) return `allows ${allowed.join()}`;
  if (allowed.length !== credentials.length) return 'Allow-Origin and Allow-Credentials do not go together';
  // Of two there is no right one.
  const [origin = ''] = origins.length === 1 ? origins : [];
  if (isListed(origin) && allowed.length === 0) return 'a listed origin may not read it';
  return undefined;
}

/** Errors are for programs: a code, and a text for people. */
function errorFault(answer: StrictAnswer): string | undefined {
  const [type = ''] = headerOf(answer, 'content-type');
  if (!/^application\/(problem\+)?json$/.test(type)) return `an error of type ${JSON.stringify(type)}`;
  try {
    const { code, message, detail } = JSON.parse(answer.body.toString()) as Record<string, unknown>;
    if (typeof code !== 'string' && typeof code !== 'number') return 'an error without a code';
    if (typeof (message ?? detail) !== 'string') return 'an error without a text';
  } catch {
    return 'an error that is not JSON';
  }
  return undefined;
}

/** What is wrong with an answer that is well-formed. */
export function faultOf(request: FuzzedRequest, answer: StrictAnswer, isPublic: boolean): string | undefined {
  const { status, isBare } = answer;
  const called = String(status);
  if (isBare) return request.isProper ? `${called}: not from the gateway` : undefined;
  if (answer.continued && !request.expectsContinue) return `${called}: 100 Continue that nobody waits for`;
  if (status === 101) return request.asksForWebSocket ? undefined : `${called}: nobody asked for a WebSocket`;
  if (status < 200 || (status >= 500 && status !== 503)) return `${called}: not a status that there may be`;
  const fault =
    (isPublic ? corsFault(request, answer) : undefined) ??
    (status >= 400 && request.method !== 'HEAD' ? errorFault(answer) : undefined);
  return fault && `${called}: ${fault}`;
}
