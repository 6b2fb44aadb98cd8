import { createHash } from 'node:crypto';

/** Characters of a name: 132 bits, so that two messages do not share one. */
const LENGTH = 22;

/**
 * A short name for a message, the same in every pod: it tells that two are equal without keeping what they say.
 *
 * @param json - the text of its payload
 */
export function nameOfMessage(event: string, json: string): string {
  return createHash('sha256').update(`${event} ${json}`).digest('base64url').slice(0, LENGTH);
}
