import type { Logger } from 'pino';
import { problemText } from '../http/router.js';
import type { Metrics } from '../admin/metrics.js';
import type { Fanout } from '../delivery/fanout.js';
import type { Fault } from '../http/error-boundary.js';
import type { GuardOptions } from '../http/guarded-app.js';
import type { AnswerPolicy, Headers } from '../http/guarded-response.js';
import { preflight } from '../http/preflight.js';
import type { OriginPolicy } from '../access/origin-policy.js';
import type { RefusalLog } from '../access/refusal-log.js';
import type { ConnectionEvents } from '../websocket/client-session.js';

/** How long equal faults are counted and not logged: a client that can cause one can cause thousands. */
const FAULT_WINDOW_MS = 10_000;
/** Kinds of faults told apart at once. */
const MAX_FAULT_KINDS = 100;

/** The place in the code that a fault came from, as far as it is known. */
function kindOf({ stage, error }: Fault): string {
  const lines = error instanceof Error ? (error.stack ?? error.message).split('\n') : [String(error)];
  const place = lines.find((line) => line.trimStart().startsWith('at '));
  return `${stage} ${place ?? lines[0] ?? ''}`;
}

/** Counts every fault and logs it with its stack: the first from each place in the code, then how often it came since. */
export function faultObserver(log: Logger, metrics: Metrics): (fault: Fault) => void {
  const kinds = new Map<string, { untilMs: number; leftOut: number }>();
  return (fault) => {
    const { stage, error, subject } = fault;
    metrics.faults.inc({ stage });
    const now = Date.now();
    const kind = kindOf(fault);
    const known = kinds.get(kind);
    if (known !== undefined && now < known.untilMs) {
      known.leftOut++;
      return;
    }
    if (kinds.size >= MAX_FAULT_KINDS) kinds.clear();
    kinds.set(kind, { untilMs: now + FAULT_WINDOW_MS, leftOut: 0 });
    const leftOut = known !== undefined && known.leftOut > 0 ? { leftOut: known.leftOut } : {};
    log.error({ stage, subject, err: error, ...leftOut }, 'unhandled fault; what it served was ended, nothing else');
  };
}

/** What every answer of the admin port has. Its errors are told to their callers, who are the operator's own. */
export const ADMIN_ANSWERS: AnswerPolicy = {
  headers: () => [],
  onRefused: () => {},
  errorBody: ({ code, status, message }) => ({
    contentType: 'application/problem+json',
    text: problemText({ code, status, title: message, detail: message }),
  }),
};

/** For what any page may read, and needs no credentials for. */
const OPEN: Headers = [['Access-Control-Allow-Origin', '*']];

/** What every answer of the public port has, who is told of its errors, and what is answered where no part answers. */
export function publicAnswers(
  origins: OriginPolicy,
  metrics: Metrics,
  refusals: RefusalLog,
): Required<Pick<GuardOptions, 'policy' | 'rest'>> {
  const allows = (origin: string, host: string): boolean => origins.allows(origin, host);
  const policy: AnswerPolicy = {
    headers: (origin, host, isOpen): Headers => (isOpen ? OPEN : origins.headers(origin, host)),
    onRefused: ({ code, status, request, origin, host, address, forwardedFor }) => {
      metrics.refusals.inc({ reason: code });
      // A fault has a line of its own.
      if (status === 500) return;
      refusals.note(code, {
        status,
        request,
        address,
        ...(forwardedFor !== '' && { forwardedFor }),
        ...(origin !== '' && { origin, host }),
      });
    },
  };
  return {
    policy,
    rest: { any: (res) => res.refuse('not_found'), options: preflight({ allows, ownPages: '/dashboard/' }) },
  };
}

/** Counts and logs pages of the dashboard that present a token or a key that is none. */
export function wrongTokenObserver(metrics: Metrics, refusals: RefusalLog): () => void {
  return () => {
    metrics.refusals.inc({ reason: 'publish_token_wrong' });
    refusals.note('publish_token_wrong', { request: 'GET /dashboard/info' });
  };
}

/** Counts what happens on connections. */
export function connectionEvents(metrics: Metrics): ConnectionEvents {
  return {
    connected: () => metrics.connects.inc(),
    disconnected: (reason) => metrics.disconnects.inc({ reason }),
    slow: () => metrics.slow.inc(),
    refused: (reason) => metrics.refusals.inc({ reason }),
    subscribed: (result) => metrics.subscribes.inc({ result }),
    flooded: (kind) => metrics.floods.inc({ kind }),
    recovery: (result) => metrics.recoveries.inc({ result }),
    replayed: (entries) => {
      metrics.replayed.inc(entries);
      metrics.deliveries.inc(entries);
    },
  };
}

/** Tells clients when the link to Redis is lost, and when it is back; `onBack` runs then too. */
export function linkAnnouncer(fanout: Fanout, onBack: () => void): (up: boolean) => void {
  /** What clients were told last; `undefined` while there was nothing to tell. */
  let announced: boolean | undefined;
  return (up) => {
    const first = announced === undefined;
    if (announced === up || (first && up)) return;
    announced = up;
    if (up) {
      fanout.announce('active', 'The link to Redis is back; signals flow again.');
      onBack();
    } else fanout.announce('degraded', 'The link to Redis is lost; signals are late until it is back.');
  };
}

/** Counts and logs messages from Pub/Sub that the bridge gave up. */
export function dropObserver(log: Logger, metrics: Metrics): (count: number, why: 'full' | 'expired') => void {
  return (count, why) => {
    metrics.dropped.inc({ reason: why }, count);
    log.error({ count, reason: why }, 'messages from Pub/Sub were given up: nobody could put them into the journal');
  };
}
