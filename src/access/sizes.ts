import { MAX_SYMBOL_LENGTH, MAX_TIMEFRAME_LENGTH } from '../contract/events.js';
import { MAX_TOPICS } from '../contract/topics.js';
import { MAX_TOKEN_LENGTH } from './token-verifier.js';

/** UTF-8 takes up to so many bytes for a character. */
const BYTES_PER_CHARACTER = 4;
/** Quotes and a comma around each topic; names of fields, the offset to recover from, and room for a client's own fields. */
const QUOTING = 3;
const AROUND = 1024;

/** Bytes of the largest `auth` that is legal: all the topics one may have, as long as they may be, and the longest token. */
export const LARGEST_AUTH =
  MAX_TOPICS * ((MAX_SYMBOL_LENGTH + 1 + MAX_TIMEFRAME_LENGTH) * BYTES_PER_CHARACTER + QUOTING) +
  MAX_TOKEN_LENGTH +
  AROUND;

/** A client that has to be silent for longer after one message may as well be refused. */
const MAX_PAUSE_SECONDS = 60;

/** Limits of size as they are set. */
interface Sizes {
  readonly maxPayload: number;
  /** 0 is no limit. */
  readonly maxBytesPerSecond: number;
}

/** What of the limits works and yet contradicts something, for the log at start. */
export function sizeWarnings({ maxPayload, maxBytesPerSecond }: Sizes): string[] {
  const warnings: string[] = [];
  if (maxPayload < LARGEST_AUTH) {
    warnings.push(
      `MAX_PAYLOAD is ${maxPayload}: clients with many topics are refused with payload_too_large. ` +
        `${LARGEST_AUTH} is enough for every valid selection of topics.`,
    );
  }
  const pause = maxBytesPerSecond === 0 ? 0 : Math.round(maxPayload / maxBytesPerSecond);
  if (pause > MAX_PAUSE_SECONDS) {
    warnings.push(
      `MAX_BYTES_PER_SECOND is ${maxBytesPerSecond} and MAX_PAYLOAD ${maxPayload}: a client that sends one message of that ` +
        `size must then stay nearly silent for ${pause} s, or it is cut. Raise MAX_BYTES_PER_SECOND to at least ` +
        `${Math.ceil(maxPayload / MAX_PAUSE_SECONDS)}, or lower MAX_PAYLOAD.`,
    );
  }
  return warnings;
}
