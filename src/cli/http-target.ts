import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent } from '../contract/events.js';
import { networkFault } from './network-fault.js';
import { type Item, type Outcome, PublishFailure, type PublishTarget } from './publish-target.js';

/** How the publish API is reached. */
export interface HttpTargetOptions {
  /** The admin port. */
  readonly url: URL;
  readonly apiKey: string | undefined;
  /** For this long a request is sent again while there is no answer, or 503. */
  readonly retryForMs: number;
  /**
   * Names the requests, so that publishing the same messages again publishes nothing twice: `exact` is the name of the only
   * request, `base` a part of the name of each. @default a random name for each
   */
  readonly idempotencyKey: { readonly exact: string } | { readonly base: string } | undefined;
  /** Called with a text when the gateway is away, and when it is back. */
  readonly say: (text: string) => void;
}

const PATHS: Readonly<Record<FeedEvent, string>> = { new_signal: 'v1/signals', status_update: 'v1/status' };
const REQUEST_LIMIT_MS = 30_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2000;
const ACCEPTED = 202;
const REQUEST_TIMEOUT = 408;
const CONTENT_TOO_LARGE = 413;
const TOO_MANY_REQUESTS = 429;
const SERVER_ERROR = 500;

/** What the publish API answers; see the problems in `errors.ts`. */
interface Answer {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly offsets: readonly string[];
  readonly code: string | undefined;
  readonly detail: string | undefined;
  /** Which item of a batch is meant. */
  readonly index: number | undefined;
}

/** The result of one attempt. */
interface Attempt {
  readonly answer?: Answer;
  /** Why another attempt makes sense. */
  readonly fault?: string;
  /** What to do about it. */
  readonly advice?: string | undefined;
  /** Whether it may have published although its answer does not say so. */
  readonly isLost: boolean;
}

/** The result of a request: a final answer, or why there is none. */
interface Sent {
  readonly answer?: Answer;
  readonly failure?: string;
  /** Whether an attempt may have published although its answer does not say so. */
  readonly isUnsure: boolean;
}

function readAnswer(status: number, retryAfter: string | null, text: string): Answer {
  let body: Readonly<Record<string, unknown>> = {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) body = value as Record<string, unknown>;
  } catch {
    // Something between here and the gateway may answer in its own words.
  }
  const { offsets, code, detail, index } = body;
  return {
    status,
    retryAfterMs: Math.min(RETRY_MAX_MS, 1000 * (Number(retryAfter) || 0)),
    offsets: Array.isArray(offsets) ? (offsets as string[]) : [],
    code: typeof code === 'string' ? code : undefined,
    detail: typeof detail === 'string' ? detail : undefined,
    index: typeof index === 'number' ? index : undefined,
  };
}

/** Publishes through the publish API. Every request has an Idempotency-Key, so that sending it again publishes nothing twice. */
export class HttpTarget implements PublishTarget {
  readonly #options: HttpTargetOptions;
  readonly #base: URL;
  readonly #abort = new AbortController();

  constructor(options: HttpTargetOptions) {
    this.#options = options;
    this.#base = new URL(options.url);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
  }

  async publish(event: FeedEvent, items: readonly Item[]): Promise<Outcome> {
    const offsets: string[] = [];
    const refused: { item: Item; why: string }[] = [];
    let published = 0;
    const parts = [items];
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const [first] = part;
      if (first === undefined) continue;
      const { answer, failure, isUnsure } = await this.#send(event, part);
      const { status, index } = answer ?? {};
      const item = index === undefined ? undefined : part[index];
      const why = (answer?.detail ?? `the gateway answered ${status}`).replace(/^Item \d+: /, '');
      if (answer !== undefined && status === ACCEPTED) {
        published += part.length;
        offsets.push(...answer.offsets);
      } else if (item !== undefined) {
        // The whole part was refused for it, at every try.
        refused.push({ item, why });
        parts.unshift(part.filter((one) => one !== item));
      } else if (status === CONTENT_TOO_LARGE && part.length === 1) {
        refused.push({ item: first, why });
      } else if (status === CONTENT_TOO_LARGE) {
        // From the gateway, or from a proxy before it with a lower limit.
        const half = Math.ceil(part.length / 2);
        parts.unshift(part.slice(0, half), part.slice(half));
      } else {
        // A refused message further on is sent again with those before it.
        const before = refused.filter((one) => one.item.line < first.line);
        const outcome = { published, offsets, refused: before };
        const made = { outcome, next: first.line, unsure: isUnsure ? part : [] };
        throw new PublishFailure(failure ?? this.#refusal(answer), made);
      }
    }
    return { published, offsets, refused };
  }

  hurry(): void {
    this.#abort.abort();
  }

  close(): void {}

  /** Sends one request, again and again while nobody can answer it. */
  async #send(event: FeedEvent, items: readonly Item[]): Promise<Sent> {
    const { retryForMs, say, url } = this.#options;
    const body = `[${items.map(({ text }) => text).join(',')}]`;
    const key = this.#keyOf(event, items, body);
    const deadline = performance.now() + retryForMs;
    let told = false;
    let isUnsure = false;
    for (let delay = RETRY_MIN_MS; ; delay = Math.min(RETRY_MAX_MS, delay * 2)) {
      const { answer, fault, advice, isLost } = await this.#attempt(PATHS[event], key, body);
      isUnsure ||= isLost;
      if (answer !== undefined && fault === undefined) {
        if (told) say('The gateway answers again.');
        return { answer, isUnsure };
      }
      const left = deadline - performance.now();
      if (left <= 0 || this.#abort.signal.aborted) {
        const start = 'Start one with "signal-gateway start", or name its admin port with --url.';
        const hint = answer === undefined ? ` ${advice ?? start}` : '';
        return { failure: `The gateway at ${url.origin} cannot take messages: ${fault}.${hint}`, isUnsure };
      }
      if (!told) {
        say(`The gateway at ${url.origin} cannot take messages: ${fault}. Trying for ${Math.ceil(left / 1000)} s.`);
      }
      told = true;
      const wait = Math.max(delay * (0.5 + Math.random() / 2), answer?.retryAfterMs ?? 0);
      await sleep(Math.min(left, wait), undefined, { signal: this.#abort.signal }).catch(() => {});
    }
  }

  /** A single message has the key that was given; of many messages each part has its own key, the same at every attempt. */
  #keyOf(event: FeedEvent, items: readonly Item[], body: string): string {
    const { idempotencyKey } = this.#options;
    if (idempotencyKey === undefined) return randomUUID();
    if ('exact' in idempotencyKey) return idempotencyKey.exact;
    const lines = items.map(({ line }) => line).join(',');
    return createHash('sha256').update(`${idempotencyKey.base}\n${event}\n${lines}\n${body}`).digest('base64url');
  }

  async #attempt(path: string, key: string, body: string): Promise<Attempt> {
    const { apiKey, url } = this.#options;
    const begin = performance.now();
    try {
      const response = await fetch(new URL(path, this.#base), {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': key,
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        },
        body,
        signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
      });
      const { status, headers } = response;
      const answer = readAnswer(status, headers.get('retry-after'), await response.text());
      if (status !== TOO_MANY_REQUESTS && status < SERVER_ERROR) return { answer, isLost: false };
      const fault = (answer.detail ?? `it answered ${status}`).replace(/\.$/, '');
      return { answer, fault, isLost: status >= SERVER_ERROR };
    } catch (error) {
      const upload = { bytes: Buffer.byteLength(body), afterMs: performance.now() - begin };
      const { reason, advice, isSent } = networkFault((error as Error).cause ?? error, url, upload);
      return { fault: reason, advice, isLost: isSent };
    }
  }

  #refusal(answer: Answer | undefined): string {
    const { url } = this.#options;
    const { status, code, detail } = answer ?? {};
    const said = code === undefined ? undefined : detail;
    const hint =
      status === REQUEST_TIMEOUT
        ? ' Send fewer lines at once with --batch.'
        : status === 401
          ? ' Set it with the variable API_KEY, or with --api-key.'
          : said === undefined
            ? ' Is this the admin port of a gateway (ADMIN_PORT, 3001 by default)?'
            : '';
    return `${url.origin} answered ${status}: ${said ?? 'not what a gateway answers.'}${hint}`;
  }
}
