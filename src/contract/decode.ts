import { isUtf8 } from 'node:buffer';
import type { z } from 'zod';
import {
  type FeedEvent,
  MAX_MESSAGE_DEPTH,
  MAX_PACKET_DEPTH,
  WELL_FORMED,
  signalSchema,
  statusSchema,
} from './events.js';
import { isPlainSignal } from './plain-signal.js';
import { type ScanRules, scanObject } from './json-scan.js';

/** Why a message was refused; also the value of the label `reason` in metrics and logs. */
export const REJECT_REASONS = [
  'too_large',
  'encoding',
  'not_json',
  'shape',
  'lone_surrogate',
  'duplicate_field',
  'too_deep',
] as const;

/** One of {@link REJECT_REASONS}. */
export type RejectReason = (typeof REJECT_REASONS)[number];

/** A valid message: its unchanged JSON text, and the fields that routing needs. */
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

/** Longest part of a wrong text that is shown, in characters. */
const MAX_SHOWN = 40;

/** A wrong value for a person, in a few words. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value !== 'string') return String(value);
  if (value.length <= MAX_SHOWN) return JSON.stringify(value);
  return `${JSON.stringify(value.slice(0, MAX_SHOWN))}…`;
}

/** What a field has to be, off what zod found wrong with it. */
function wanted(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'object') return 'a JSON object';
    return issue.expected === 'string' ? 'a text' : 'a finite number';
  }
  if (issue.code === 'invalid_value') return issue.values.map((value) => JSON.stringify(value)).join(' or ');
  if (issue.code === 'too_small') {
    return issue.origin === 'string' ? 'a text that is not empty' : `${issue.minimum} or more`;
  }
  // Only texts have a longest length. The rest brings its own words from the schema.
  return issue.code === 'too_big' ? `a text of at most ${issue.maximum} characters` : issue.message;
}

/** The first thing wrong with a value, in one sentence that names the field, what it takes and what it got. */
function firstIssue(error: z.core.$ZodError, value: unknown): Decoded {
  const issue = error.issues[0];
  if (issue === undefined) return refuse('shape', 'does not have the expected shape');
  const [name] = issue.path;
  if (name === undefined) return refuse('shape', `the message must be ${wanted(issue)}; got ${shown(value)}`);
  const field = `field "${String(name)}"`;
  const got = (value as Readonly<Record<PropertyKey, unknown>>)[name];
  if (got === undefined) return refuse('shape', `${field} is missing`);
  if (
    issue.code === 'invalid_format' &&
    issue.format === 'regex' &&
    typeof got === 'string' &&
    !WELL_FORMED.test(got)
  ) {
    const detail = `${field} has an unpaired surrogate; got ${shown(got)}. Send whole characters`;
    return refuse('lone_surrogate', detail);
  }
  return refuse('shape', `${field} must be ${wanted(issue)}; got ${shown(got)}`);
}

// Of the schemas without what they do with fields that they do not name: those are in the text, which is forwarded as it is.
const SIGNAL = signalSchema.strip();
const STATUS = statusSchema.strip();

/** A field that is checked may appear only once, so that every parser finds the value that was checked. */
const RULES: Readonly<Record<FeedEvent, ScanRules>> = {
  new_signal: { once: Object.keys(signalSchema.shape), maxDepth: MAX_MESSAGE_DEPTH },
  status_update: { once: Object.keys(statusSchema.shape), maxDepth: MAX_MESSAGE_DEPTH },
};

/** What is wrong with a message of the right shape: another reader would find other values in it, or could not read it. */
function ambiguity(event: FeedEvent, json: string, value: object): Decoded | undefined {
  const fault = scanObject(json, value, RULES[event]);
  if (fault === undefined) return undefined;
  const field = `field ${shown(fault.field)}`;
  if (fault.kind === 'duplicate') {
    return refuse('duplicate_field', `${field} appears twice, and parsers differ in which one they use. Send it once`);
  }
  return refuse(
    'too_deep',
    `${field} nests too deep: a message may have ${MAX_MESSAGE_DEPTH} levels of objects and arrays, itself included ` +
      `(clients get it inside an array, and many can read ${MAX_PACKET_DEPTH}). Flatten it`,
  );
}

/**
 * Checks one message from a producer.
 *
 * @param event - which event the message is for
 * @param bytes - the JSON text, UTF-8
 * @param maxBytes - longest message taken, in bytes
 */
export function decodeBytes(event: FeedEvent, bytes: Uint8Array, maxBytes: number): Decoded {
  // The size is checked first: nothing that is too large is worth reading.
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

/** What comes of a message that is too large to be read. */
export function tooLarge(size: number, maxBytes: number): Decoded {
  return refuse('too_large', `the message has ${size} bytes; at most ${maxBytes} are taken`);
}

function decodeText(event: FeedEvent, json: string): Decoded {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return refuse('not_json', `the message is not JSON: ${(error as SyntaxError).message}`);
  }
  // The scan comes after the shape: it is for objects.
  switch (event) {
    case 'new_signal': {
      const result = isPlainSignal(value) ? { success: true as const, data: value } : SIGNAL.safeParse(value);
      if (!result.success) return firstIssue(result.error, value);
      const { symbol, timeframe } = result.data;
      return ambiguity(event, json, value as object) ?? { ok: true, message: { event, json, symbol, timeframe } };
    }
    case 'status_update': {
      const result = STATUS.safeParse(value);
      if (!result.success) return firstIssue(result.error, value);
      return (
        ambiguity(event, json, value as object) ?? { ok: true, message: { event, json, service: result.data.service } }
      );
    }
  }
}
