import { REFUSALS } from '../errors.js';
import { EXAMPLES } from './examples.js';
import { type Json, schemaRef } from './json-schema.js';

/** An example, and what it shows. */
interface Example {
  readonly name: string;
  readonly payload: unknown;
}

/** The arguments of an event as a JSON array. In draft 7, on which AsyncAPI 3.0 builds, `items` says what is at each place. */
function args(items: readonly Json[], required = items.length): Json {
  return { type: 'array', items, additionalItems: false, minItems: required, maxItems: items.length };
}

/** What a message of the document says, beside its name. */
interface MessageText {
  readonly summary: string;
  readonly payload: Json;
  readonly examples: readonly Example[];
}

function message(name: string, { summary, payload, examples }: MessageText): Json {
  return { name, title: name, summary, contentType: 'application/json', payload, examples };
}

const OFFSET = schemaRef('Offset');
const { offset, signal, status, gap, connect } = EXAMPLES;

/** What goes over a Socket.IO connection, by the name of the event; the last four are not events. */
export const SOCKET_MESSAGES = {
  welcome: message('welcome', {
    summary: 'The client is connected.',
    payload: args([schemaRef('Welcome'), OFFSET]),
    examples: [{ name: 'connected', payload: [EXAMPLES.welcome, offset] }],
  }),
  new_signal: message('new_signal', {
    summary: 'A trading signal, as it was published.',
    payload: args([schemaRef('Signal'), OFFSET]),
    examples: [
      { name: 'a signal', payload: [signal, offset] },
      { name: 'with a field of its own', payload: [{ ...signal, confidence: 0.93 }, offset] },
    ],
  }),
  status_update: message('status_update', {
    summary:
      'The state of a service. Without an offset if it is not news: the last status of a service, sent on connect, and what the gateway says about itself.',
    payload: args([schemaRef('StatusUpdate'), OFFSET], 1),
    examples: [
      { name: 'news', payload: [status, offset] },
      { name: 'of the gateway', payload: [EXAMPLES.gatewayStatus] },
    ],
  }),
  gap: message('gap', {
    summary: 'Messages that this client does not get.',
    payload: args([schemaRef('Gap')]),
    examples: [
      { name: 'away too long', payload: [gap] },
      { name: 'a message that was deleted', payload: [EXAMPLES.deletedGap] },
    ],
  }),
  checkpoint: message('checkpoint', {
    summary:
      'The newest place in the journal, so that a client whose topics are quiet can still recover. The stock client keeps it by itself.',
    payload: args([OFFSET]),
    examples: [{ name: 'a place', payload: [offset] }],
  }),
  subscribe: message('subscribe', {
    summary: 'Asks for other topics.',
    payload: args([schemaRef('Topics')]),
    examples: [
      { name: 'a symbol, and another in one timeframe', payload: [EXAMPLES.topics] },
      { name: 'everything', payload: [['*']] },
    ],
  }),
  subscribe_answer: message('subscribe_answer', {
    summary: 'The acknowledgement of `subscribe`.',
    payload: args([schemaRef('SubscribeAnswer')]),
    examples: [
      { name: 'accepted', payload: [{ ok: true, topics: EXAMPLES.topics }] },
      { name: 'refused', payload: [EXAMPLES.subscribeRefused] },
    ],
  }),
  connect: message('connect', {
    summary: 'The CONNECT packet: `io(url, { auth })`. Its payload is one object, not a list of arguments.',
    payload: schemaRef('Connect'),
    examples: [
      { name: 'everything', payload: {} },
      { name: 'with topics and a token', payload: connect },
    ],
  }),
  connect_error: message('connect_error', {
    summary: 'The CONNECT_ERROR packet. The stock client makes an `Error` with `data` of it.',
    payload: schemaRef('ConnectError'),
    examples: [{ name: 'invalid topics', payload: EXAMPLES.connectError }],
  }),
  refusal: message('refusal', {
    summary:
      'The HTTP answer to a client that is refused before it speaks Socket.IO, with its status and, for 429 and 503, `Retry-After`.',
    payload: schemaRef('Refusal'),
    examples: [{ name: 'full', payload: { code: 'max_connections', message: REFUSALS.max_connections.message } }],
  }),
} as const;

/** What producers publish in Redis: the payload alone. */
export const REDIS_MESSAGES = {
  published_signal: message('published_signal', {
    summary: 'A signal for all clients.',
    payload: schemaRef('Signal'),
    examples: [{ name: 'a signal', payload: signal }],
  }),
  published_status: message('published_status', {
    summary: 'A status for all clients.',
    payload: schemaRef('StatusUpdate'),
    examples: [{ name: 'a status', payload: status }],
  }),
} as const;
