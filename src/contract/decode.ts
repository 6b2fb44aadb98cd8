import { isUtf8 } from 'node:buffer';
import type { z } from 'zod';
import { type FeedEvent, signalSchema, statusSchema } from './events.js';

/** Why a message was refused; also the value of the label `reason` in metrics and logs. */
export type RejectReason = 'too_large' | 'encoding' | 'not_json' | 'shape';

/** A message that was found good: its JSON text as it came, and the fields that routing needs. */
export interface FeedMessage {
  readonly event: FeedEvent;
  /** The JSON text as received. It is forwarded, never serialised again, so numbers and unknown fields stay as sent. */
  readonly json: string;
  /** Only on `new_signal`. */
  readonly symbol?: string;
  /** Only on `new_signal`. */
  readonly timeframe?: string;
  /** Only on `status_update`. */
  readonly service?: string;
}

/** What came of decoding a message. */
export type Decoded =
  | { readonly ok: true; readonly message: FeedMessage }
  | { readonly ok: false; readonly reason: RejectReason; readonly detail: string };

function refuse(reason: RejectReason, detail: string): Decoded {
  return { ok: false, reason, detail };
}

/** The first thing wrong with a value, in one sentence that names the field. */
function firstIssue(error: z.core.$ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'does not have the expected shape';
  const field = issue.path.length === 0 ? 'the message' : `field "${issue.path.join('.')}"`;
  return `${field}: ${issue.message}`;
}

/**
 * Checks one message as it came from a producer.
 *
 * @param event - which event the message is for
 * @param bytes - the JSON text, UTF-8
 * @param maxBytes - longest message taken, in bytes
 */
export function decodeBytes(event: FeedEvent, bytes: Uint8Array, maxBytes: number): Decoded {
  // The size is looked at first: nothing that is too large is worth reading.
  if (bytes.byteLength > maxBytes) return tooLarge(bytes.byteLength, maxBytes);
  if (!isUtf8(bytes)) return refuse('encoding', 'the message is not valid UTF-8');
  return decodeText(event, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
}

/**
 * Checks one message whose text is at hand already, such as one item of a batch.
 *
 * @param maxBytes - longest message taken, in bytes of UTF-8
 */
export function decodeItem(event: FeedEvent, text: string, maxBytes: number): Decoded {
  const size = Buffer.byteLength(text);
  return size > maxBytes ? tooLarge(size, maxBytes) : decodeText(event, text);
}

function tooLarge(size: number, maxBytes: number): Decoded {
  return refuse('too_large', `the message has ${size} bytes; at most ${maxBytes} are taken`);
}

function decodeText(event: FeedEvent, json: string): Decoded {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return refuse('not_json', `the message is not JSON: ${(error as SyntaxError).message}`);
  }
  switch (event) {
    case 'new_signal': {
      const result = signalSchema.safeParse(value);
      if (!result.success) return refuse('shape', firstIssue(result.error));
      const { symbol, timeframe } = result.data;
      return { ok: true, message: { event, json, symbol, timeframe } };
    }
    case 'status_update': {
      const result = statusSchema.safeParse(value);
      if (!result.success) return refuse('shape', firstIssue(result.error));
      return { ok: true, message: { event, json, service: result.data.service } };
    }
  }
}
