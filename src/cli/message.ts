import { decodeItem } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import { EXIT, StartError } from '../errors.js';

/** The options of `publish` that make up one message. */
export interface MessageOptions {
  readonly symbol?: string;
  readonly signal?: string;
  readonly price?: string;
  readonly timeframe?: string;
  readonly type?: string;
  readonly timestamp?: string;
  readonly status?: string;
  readonly service?: string;
  readonly message?: string;
}

const OF_SIGNAL = ['symbol', 'signal', 'price', 'timeframe', 'type', 'timestamp'] as const;
const OF_STATUS = ['status', 'service', 'message'] as const;

function flags(names: readonly string[]): string {
  return names.map((name) => `--${name}`).join(', ');
}

function wrong(message: string): StartError {
  return new StartError(`${message} "signal-gateway publish --help" has examples.`, EXIT.config);
}

/**
 * Makes the message that options describe.
 *
 * @param now - for a signal without a timestamp
 * @returns `undefined` if they describe no message
 * @throws StartError when they are incomplete or wrong
 */
export function messageFrom(options: MessageOptions, now: Date): { event: FeedEvent; json: string } | undefined {
  const ofSignal = OF_SIGNAL.filter((name) => options[name] !== undefined);
  const ofStatus = OF_STATUS.filter((name) => options[name] !== undefined);
  if (ofSignal.length === 0 && ofStatus.length === 0) return undefined;
  if (ofSignal.length > 0 && ofStatus.length > 0) {
    throw wrong(`${flags(ofSignal)} and ${flags(ofStatus)} do not go together: a message is a signal or a status.`);
  }
  const needed = ofStatus.length > 0 ? (['status', 'service'] as const) : (['symbol', 'signal', 'price'] as const);
  const missing = needed.filter((name) => options[name] === undefined);
  if (missing.length > 0) throw wrong(`A ${ofStatus.length > 0 ? 'status' : 'signal'} needs ${flags(missing)} too.`);

  if (options.price !== undefined && !/^\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(options.price)) {
    throw wrong(`--price takes a number of 0 or more; got ${JSON.stringify(options.price)}.`);
  }
  const { symbol, signal, price = '', timeframe = '1m', type = 'MANUAL', timestamp = now.toISOString() } = options;
  const event = ofStatus.length > 0 ? 'status_update' : 'new_signal';
  const payload =
    event === 'status_update'
      ? { service: options.service, status: options.status, message: options.message ?? '' }
      : { type, signal, price: Number(price), symbol, timeframe, timestamp };
  const json = JSON.stringify(payload);
  const decoded = decodeItem(event, json, Infinity);
  if (!decoded.ok) throw wrong(`Not published: ${decoded.detail.replace(/^field "(\w+)"/, '--$1')}.`);
  return { event, json };
}
