import type { Logger } from 'pino';
import { PROBLEMS, type ProblemCode } from '../errors.js';
import { problemText } from '../http/router.js';
import type { Metrics } from '../admin/metrics.js';
import type { OnRejected } from '../admin/publish.js';
import type { FeedEvent } from '../contract/events.js';
import type { FeedDelivery } from '../delivery/delivery.js';
import type { FanoutTiming } from '../delivery/fanout.js';
import type { Fault } from '../http/error-boundary.js';
import type { GuardOptions } from '../http/guarded-app.js';
import type { AnswerPolicy, Headers } from '../http/guarded-response.js';
import { preflight } from '../http/preflight.js';
import type { OriginPolicy } from '../access/origin-policy.js';
import type { RefusalLog } from '../access/refusal-log.js';
import type { OnReject, Rejections, Source } from '../ingest/rejections.js';
import type { RedisChange } from '../redis/redis-state.js';
import type { Dropped } from './redis-parts.js';
import { lossInWords } from './loss-in-words.js';
import type { NotReplicatedError } from '../journal/journal.js';
import type { ConnectionEvents } from '../websocket/client-session.js';

/** For this long equal faults are counted and not logged: a client that can cause one can cause thousands. */
const FAULT_WINDOW_MS = 10_000;
/** How often it is logged at most that replicas are missing. */
const NOT_REPLICATED_LOG_MS = 10_000;
/** Kinds of faults that are remembered at a time. */
const MAX_FAULT_KINDS = 100;

/** The stage of a fault and the place in the code that it came from, as far as that is known. */
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
    log.error({ stage, subject, err: error, ...leftOut }, 'unhandled fault; the rest of the pod keeps running');
  };
}

/** The title of a problem of the registry. */
function titleOf(code: string): string | undefined {
  return code in PROBLEMS ? PROBLEMS[code as ProblemCode].title : undefined;
}

/** What every answer of the admin port has. Nobody logs its errors: its callers are the operator's own. */
export const ADMIN_ANSWERS: AnswerPolicy = {
  headers: () => [],
  onRefused: () => {},
  errorBody: ({ code, status, message }) => ({
    contentType: 'application/problem+json',
    text: problemText({ code, status, title: titleOf(code) ?? message, detail: message }),
  }),
};

/** For what any page may read without credentials. */
const OPEN: Headers = [['Access-Control-Allow-Origin', '*']];

/** What every answer of the public port has, where its errors are counted, and what answers if no part does. */
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

/** Counts and logs pages of the dashboard that present a wrong token or key. */
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
  };
}

/** Tells clients when the link to Redis is lost and when it is back. @param onBack - called when it is back */
export function linkAnnouncer(
  delivery: Pick<FeedDelivery, 'announce'>,
  onBack: () => void,
): (change: RedisChange) => void {
  /** What clients were told last; `undefined` while there was no news. */
  let announced: boolean | undefined;
  return ({ up, faults }) => {
    const [lost] = faults;
    // Nothing is known to be wrong yet, or nothing has been: no news.
    if (announced === up || (!up && lost === undefined) || (up && announced === undefined)) return;
    announced = up;
    if (lost === undefined) {
      delivery.announce('active', 'The link to Redis is back; signals flow again.');
      onBack();
    } else delivery.announce('degraded', lossInWords(lost));
  };
}

/** Counts the messages of a source that this pod put into the journal. */
export function acceptObserver(metrics: Metrics, source: Source): (event: FeedEvent) => void {
  return (event) => metrics.accepted.inc({ source, event });
}

/** Counts the messages of source streams that this pod put into the journal. */
export function sourceObserver(metrics: Metrics): (event: FeedEvent, count: number) => void {
  return (event, count) => metrics.accepted.inc({ source: 'stream', event }, count);
}

/** Counts messages that were refused. */
export function rejectObserver(metrics: Metrics): OnReject {
  return (source, event, reason) => metrics.rejected.inc({ source, event, reason });
}

/** Counts and logs messages that were refused over HTTP. */
export function httpRejectObserver(rejections: Rejections): OnRejected {
  return (rejected) => rejections.note('http', rejected);
}

/** Counts what the fan-out delivers, and how long that takes. */
export function fanoutObserver(metrics: Metrics): (timing: FanoutTiming) => void {
  return ({ clients, seconds, age }) => {
    metrics.deliveries.inc(clients);
    metrics.fanout.observe(seconds);
    if (age !== undefined) metrics.publishToFanout.observe(age);
  };
}

/** Counts entries that clients were sent one by one. */
export function servedObserver(metrics: Metrics): (entries: number, isReplay: boolean) => void {
  return (entries, isReplay) => {
    metrics.deliveries.inc(entries);
    if (isReplay) metrics.replayed.inc(entries);
  };
}

/** Counts renewals of the certificate. */
export function renewalObserver(metrics: Metrics): (result: 'renewed' | 'failed') => void {
  return (result) => metrics.renewals.inc({ result });
}

/** Counts entries of the journal that were deleted. */
export function deletionObserver(metrics: Metrics): () => void {
  return () => metrics.deleted.inc();
}

/** Counts requests whose messages too few replicas had in time; logs the first, then how many there were since. */
export function notReplicatedObserver(log: Logger, metrics: Metrics): (error: NotReplicatedError) => void {
  let untilMs = -Infinity;
  let requests = 0;
  return ({ replicas, needed }) => {
    metrics.notReplicated.inc();
    requests++;
    const nowMs = performance.now();
    if (nowMs < untilMs) return;
    untilMs = nowMs + NOT_REPLICATED_LOG_MS;
    log.warn(
      { requests, replicas, needed },
      'too few replicas have what was published (JOURNAL_MIN_REPLICAS); answered 503 not_replicated',
    );
    requests = 0;
  };
}

/** Counts and logs messages from Pub/Sub that the bridge gave up. */
export function dropObserver(log: Logger, metrics: Metrics): (dropped: Dropped) => void {
  return ({ count, why, fault }) => {
    metrics.dropped.inc({ reason: why }, count);
    const cause = fault === undefined ? {} : { cause: fault.code, causeReason: fault.reason };
    log.error(
      { count, reason: why, ...cause },
      'dropped messages from Pub/Sub that no pod could append to the journal',
    );
  };
}
