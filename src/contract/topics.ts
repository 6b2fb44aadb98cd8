import { z } from 'zod';
import { TOPIC_SHAPE, WELL_FORMED, topicSchema } from './events.js';

/** The topic that covers every signal. */
export const ALL_SIGNALS = '*';

/** Most topics one client may have. */
export const MAX_TOPICS = 1024;

/** For the published contract: what {@link parseTopics} takes. */
export const topicsSchema = z
  .array(topicSchema)
  .max(MAX_TOPICS)
  .describe('Replaces all topics of the client. A signal that several of them cover arrives once.');

/**
 * The topics under which a signal is delivered, widest first: `*`, `BTC/USDT`, `BTC/USDT@1m`.
 * A client is subscribed to at most one of them, so it gets the signal once.
 */
export function topicsOfSignal(symbol: string, timeframe: string): readonly string[] {
  return [ALL_SIGNALS, symbol, `${symbol}@${timeframe}`];
}

/** The topics that a client asked for, made minimal; or why they are refused. */
export type ParsedTopics =
  | { readonly ok: true; readonly topics: ReadonlySet<string> }
  | { readonly ok: false; readonly code: 'invalid_topics' | 'too_many_topics'; readonly message: string };

/** Whether a value is a topic. */
export function isTopic(value: unknown): value is string {
  return typeof value === 'string' && TOPIC_SHAPE.test(value);
}

/** What is wrong with a value that is not a topic. */
function faultOf(value: unknown): string {
  return typeof value === 'string' && !WELL_FORMED.test(value)
    ? 'has an unpaired surrogate; send whole characters'
    : 'is not a topic such as "*", "BTC/USDT" or "BTC/USDT@1m"';
}

/** Leaves out topics that another topic of the set covers: `*` covers all, `BTC/USDT` covers `BTC/USDT@1m`. */
function minimal(topics: ReadonlySet<string>): ReadonlySet<string> {
  if (topics.has(ALL_SIGNALS)) return new Set([ALL_SIGNALS]);
  return new Set(
    [...topics].filter((topic) => !topic.includes('@') || !topics.has(topic.slice(0, topic.indexOf('@')))),
  );
}

/** Shared by all clients that choose nothing. */
const EVERYTHING: ParsedTopics = { ok: true, topics: new Set([ALL_SIGNALS]) };

/**
 * Reads a set of topics that came from a client.
 *
 * @param value - `undefined` stands for the default, everything
 */
export function parseTopics(value: unknown): ParsedTopics {
  if (value === undefined) return EVERYTHING;
  if (!Array.isArray(value))
    return { ok: false, code: 'invalid_topics', message: 'topics must be an array of strings' };
  if (value.length > MAX_TOPICS) {
    return { ok: false, code: 'too_many_topics', message: `${value.length} topics; at most ${MAX_TOPICS} are taken` };
  }
  const topics = new Set<string>();
  for (const [index, item] of value.entries()) {
    if (!isTopic(item)) {
      return { ok: false, code: 'invalid_topics', message: `topic ${index} ${faultOf(item)}` };
    }
    topics.add(item);
  }
  return { ok: true, topics: minimal(topics) };
}

/** Whether a set of topics covers a topic: has it, or a wider one. */
export function covers(topics: ReadonlySet<string>, topic: string): boolean {
  if (topics.has(ALL_SIGNALS) || topics.has(topic)) return true;
  const at = topic.indexOf('@');
  return at >= 0 && topics.has(topic.slice(0, at));
}

/** The topics that cover what both sets cover. */
export function intersection(one: ReadonlySet<string>, other: ReadonlySet<string>): ReadonlySet<string> {
  const both = [...one].filter((topic) => covers(other, topic));
  return minimal(new Set([...both, ...[...other].filter((topic) => covers(one, topic))]));
}
