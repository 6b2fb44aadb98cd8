import { type ParsedTopics, covers, parseTopics } from '../contract/topics.js';

/** What a client may have of the topics that it asks for. */
export type TopicChoice =
  ParsedTopics | { readonly ok: false; readonly code: 'topics_not_allowed'; readonly message: string };

/**
 * Reads the topics that a client asks for, and checks whether its token allows them.
 *
 * @param allowed - `undefined` allows everything
 */
export function chooseTopics(value: unknown, allowed: ReadonlySet<string> | undefined): TopicChoice {
  if (value === undefined && allowed !== undefined) return { ok: true, topics: allowed };
  const parsed = parseTopics(value);
  if (!parsed.ok || allowed === undefined) return parsed;
  const more = [...parsed.topics].find((topic) => !covers(allowed, topic));
  if (more === undefined) return parsed;
  return { ok: false, code: 'topics_not_allowed', message: `the token does not allow the topic "${more}"` };
}
