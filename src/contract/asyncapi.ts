import { REFUSALS, TOKEN_ERRORS } from '../errors.js';
import { connectErrorSchema, connectSchema, refusalSchema } from './connect.js';
import {
  FEED_EVENTS,
  SUBSCRIBE_ERRORS,
  gapSchema,
  signalSchema,
  statusSchema,
  subscribeAnswerSchema,
  topicSchema,
  welcomeSchema,
} from './events.js';
import { EXAMPLES } from './examples.js';
import { type Json, jsonSchemas, schemaRef } from './json-schema.js';
import { offsetSchema } from './offset.js';
import { topicsSchema } from './topics.js';

/** An example, and what it shows. */
interface Example {
  readonly name: string;
  readonly payload: unknown;
}

/** The arguments of an event as a JSON array. In draft 7, on which AsyncAPI 3.0 builds, `items` says what is at each place. */
function args(items: readonly Json[], required = items.length): Json {
  return { type: 'array', items, additionalItems: false, minItems: required, maxItems: items.length };
}

function message(name: string, summary: string, payload: Json, examples: readonly Example[]): Json {
  return { name, title: name, summary, contentType: 'application/json', payload, examples };
}

const OFFSET = schemaRef('Offset');
const { offset, signal, status, gap, connect } = EXAMPLES;

/** What goes over a Socket.IO connection, by the name of the event; the last four are none. */
const SOCKET_MESSAGES = {
  welcome: message('welcome', 'The client is connected.', args([schemaRef('Welcome'), OFFSET]), [
    { name: 'connected', payload: [EXAMPLES.welcome, offset] },
  ]),
  new_signal: message('new_signal', 'A trading signal, as it was published.', args([schemaRef('Signal'), OFFSET]), [
    { name: 'a signal', payload: [signal, offset] },
    { name: 'with a field of its own', payload: [{ ...signal, confidence: 0.93 }, offset] },
  ]),
  status_update: message(
    'status_update',
    'The state of a service. Without an offset where it is no news: what a service said last, sent on connect, and what the gateway says of itself.',
    args([schemaRef('StatusUpdate'), OFFSET], 1),
    [
      { name: 'news', payload: [status, offset] },
      { name: 'of the gateway', payload: [EXAMPLES.gatewayStatus] },
    ],
  ),
  gap: message('gap', 'Messages are lost to this client.', args([schemaRef('Gap')]), [
    { name: 'away too long', payload: [gap] },
    { name: 'a message that was deleted', payload: [EXAMPLES.deletedGap] },
  ]),
  checkpoint: message(
    'checkpoint',
    'Where the journal is, so that a client whose topics are quiet does not fall out of it. The stock client keeps it by itself.',
    args([OFFSET]),
    [{ name: 'a place', payload: [offset] }],
  ),
  subscribe: message('subscribe', 'Asks for other topics.', args([schemaRef('Topics')]), [
    { name: 'a symbol, and another in one timeframe', payload: [EXAMPLES.topics] },
    { name: 'everything', payload: [['*']] },
  ]),
  subscribe_answer: message(
    'subscribe_answer',
    'The acknowledgement of `subscribe`.',
    args([schemaRef('SubscribeAnswer')]),
    [
      { name: 'in force', payload: [{ ok: true, topics: EXAMPLES.topics }] },
      { name: 'refused', payload: [EXAMPLES.subscribeRefused] },
    ],
  ),
  connect: message(
    'connect',
    'The CONNECT packet: `io(url, { auth })`. Its payload is one object, not a list of arguments.',
    schemaRef('Connect'),
    [
      { name: 'everything', payload: {} },
      { name: 'with topics and a token', payload: connect },
    ],
  ),
  connect_error: message(
    'connect_error',
    'The CONNECT_ERROR packet. The stock client makes an `Error` with `data` of it.',
    schemaRef('ConnectError'),
    [{ name: 'topics that are none', payload: EXAMPLES.connectError }],
  ),
  refusal: message(
    'refusal',
    'The HTTP answer to a client that is refused before it speaks Socket.IO, with its status and, for 429 and 503, `Retry-After`.',
    schemaRef('Refusal'),
    [{ name: 'full', payload: { code: 'max_connections', message: REFUSALS.max_connections.message } }],
  ),
} as const;

/** What producers publish in Redis: the payload alone. */
const REDIS_MESSAGES = {
  published_signal: message('published_signal', 'A signal for all clients.', schemaRef('Signal'), [
    { name: 'a signal', payload: signal },
  ]),
  published_status: message('published_status', 'A status for all clients.', schemaRef('StatusUpdate'), [
    { name: 'a status', payload: status },
  ]),
} as const;

type SocketMessage = keyof typeof SOCKET_MESSAGES;

function inComponents(names: readonly string[]): Json {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }]));
}

function inChannel(channel: string, ...names: readonly string[]): Json[] {
  return names.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` }));
}

function channelRef(channel: string): Json {
  return { $ref: `#/channels/${channel}` };
}

function send(name: SocketMessage, summary: string): Json {
  return { action: 'send', channel: channelRef('feed'), summary, messages: inChannel('feed', name) };
}

function receive(name: SocketMessage, reply: readonly SocketMessage[], summary: string, description: string): Json {
  return {
    action: 'receive',
    channel: channelRef('feed'),
    summary,
    description,
    messages: inChannel('feed', name),
    reply: { channel: channelRef('feed'), messages: inChannel('feed', ...reply) },
  };
}

function list(codes: Readonly<Record<string, string>>): string {
  return Object.entries(codes)
    .map(([code, meaning]) => `- \`${code}\`: ${meaning}`)
    .join('\n');
}

function redisChannel(name: string, variable: string, fallback: string, messageName: string): Json {
  return {
    address: `{${name}}`,
    title: `Pub/Sub channel ${variable}`,
    description:
      'A message is the JSON text of one payload, UTF-8, of at most `MAX_SIGNAL_BYTES` bytes. One that is not is counted, logged ' +
      'and delivered to nobody.',
    servers: [{ $ref: '#/servers/redis' }],
    parameters: { [name]: { description: `\`${variable}\` of the configuration.`, default: fallback } },
    messages: inComponents([messageName]),
  };
}

const DESCRIPTION = `A back end publishes a trading signal once, into Redis; every client gets it once and in order.

Clients use the stock \`socket.io-client\` 4 (Socket.IO protocol 5 over Engine.IO protocol 4, WebSocket or long-polling).

How a message of this document stands for a Socket.IO event: \`name\` is the name of the event, and the payload is the array
of its arguments. The last argument, where it is a string, is an offset. The stock client remembers it and comes back with
it after a drop; nothing needs to be done with it. So \`socket.on("new_signal", (signal, offset) => …)\` is called with the two
items of the payload of \`new_signal\`.`;

/**
 * The AsyncAPI 3.0 document of the feed, seen from the gateway: it sends what clients get and receives what they send.
 *
 * @param version - of this package
 */
export function asyncapiDocument(version: string): Json {
  const schemas = jsonSchemas(
    {
      Signal: signalSchema,
      StatusUpdate: statusSchema,
      Offset: offsetSchema,
      Welcome: welcomeSchema,
      Gap: gapSchema,
      Topic: topicSchema,
      Topics: topicsSchema,
      SubscribeAnswer: subscribeAnswerSchema,
      Connect: connectSchema,
      ConnectError: connectErrorSchema,
      Refusal: refusalSchema,
    },
    'draft-7',
  );
  const [signals, statuses] = FEED_EVENTS;
  return {
    asyncapi: '3.0.0',
    id: 'urn:signal-gateway:feed',
    info: {
      title: 'signal-gateway',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      gateway: {
        host: '{host}:{port}',
        pathname: '/socket.io/',
        protocol: 'socket.io',
        protocolVersion: '5',
        description:
          'The public port. With TLS on `TLS_CERT` and `TLS_KEY`. With `AUTH=jwt` clients need a token (`auth.token`).',
        variables: {
          host: { default: 'localhost', description: '`HOST` of the configuration.' },
          port: { default: '3000', description: '`PORT` of the configuration.' },
        },
      },
      redis: {
        host: '{redisHost}:{redisPort}',
        protocol: 'redis',
        description:
          'Where back ends publish, with `PUBLISH`. Only with `REDIS_URL`; the HTTP API takes the same payloads.',
        variables: {
          redisHost: { default: 'localhost', description: 'Of `REDIS_URL`.' },
          redisPort: { default: '6379', description: 'Of `REDIS_URL`.' },
        },
      },
    },
    channels: {
      feed: {
        address: '/',
        title: 'The feed',
        description: 'The default namespace of Socket.IO.',
        servers: [{ $ref: '#/servers/gateway' }],
        messages: inComponents(Object.keys(SOCKET_MESSAGES)),
      },
      signals: redisChannel('signalChannel', 'SIGNAL_CHANNEL', signals, 'published_signal'),
      statuses: redisChannel('statusChannel', 'STATUS_CHANNEL', statuses, 'published_status'),
    },
    operations: {
      connect: receive(
        'connect',
        ['welcome', 'connect_error', 'refusal'],
        'A client connects.',
        `It gets \`welcome\`, or is refused. Codes of \`data.code\` in a \`connect_error\`, besides \`invalid_topics\`, \`too_many_topics\`, ` +
          `\`topics_not_allowed\` and \`already_connected\` (a second socket on one connection):\n\n${list(TOKEN_ERRORS)}\n\n` +
          `After \`keys_unavailable\` the connection is closed without a \`connect_error\`, and the stock client tries again by itself. ` +
          `Before that, an HTTP answer may refuse it:\n\n${list(
            Object.fromEntries(
              Object.entries(REFUSALS).map(([code, { status: http, message: why }]) => [code, `${http}. ${why}`]),
            ),
          )}`,
      ),
      welcome: send('welcome', 'To the one client, when it is connected.'),
      newSignal: send('new_signal', 'To every client that wants the symbol.'),
      statusUpdate: send('status_update', 'To every client; to a client that connects the newest of every service.'),
      gap: send('gap', 'To a client that can not get all it has missed.'),
      checkpoint: send(
        'checkpoint',
        'To clients with topics: when `subscribe` has changed them, and every 10 s if the journal has moved.',
      ),
      subscribe: receive(
        'subscribe',
        ['subscribe_answer'],
        'A client replaces all its topics.',
        `\`const answer = await socket.emitWithAck("subscribe", ["BTC/USDT"])\`. What comes before the answer is by the old topics, ` +
          `what follows by the new ones. Codes of a refusal, which changes nothing:\n\n${list(SUBSCRIBE_ERRORS)}`,
      ),
      publishedSignal: {
        action: 'receive',
        channel: channelRef('signals'),
        summary: 'A back end publishes a signal.',
        messages: inChannel('signals', 'published_signal'),
      },
      publishedStatus: {
        action: 'receive',
        channel: channelRef('statuses'),
        summary: 'A back end publishes a status.',
        messages: inChannel('statuses', 'published_status'),
      },
    },
    components: { schemas, messages: { ...SOCKET_MESSAGES, ...REDIS_MESSAGES } },
  };
}
