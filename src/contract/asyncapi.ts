import { REFUSALS, TOKEN_ERRORS } from '../errors.js';
import { REDIS_MESSAGES, SOCKET_MESSAGES } from './asyncapi-messages.js';
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
import { type Json, jsonSchemas } from './json-schema.js';
import { offsetSchema } from './offset.js';
import { topicsSchema } from './topics.js';

/**
 * The AsyncAPI 3.0 document of the feed, seen from the gateway: it sends what clients get and receives what they send.
 *
 * @param version - of this package
 */
export function asyncapiDocument(version: string): Json {
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
    servers: SERVERS,
    channels: CHANNELS,
    operations: OPERATIONS,
    components: { schemas: schemas(), messages: { ...SOCKET_MESSAGES, ...REDIS_MESSAGES } },
  };
}

const DESCRIPTION = `A back end publishes a trading signal once, into Redis; every client gets it once and in order.

Clients use the stock \`socket.io-client\` 4 (Socket.IO protocol 5 over Engine.IO protocol 4, WebSocket or long-polling).

How a message of this document stands for a Socket.IO event: \`name\` is the name of the event, and the payload is the array
of its arguments. The last argument, if it is a string, is an offset. The stock client remembers it and sends it when it
reconnects after a drop; applications need not use it. So \`socket.on("new_signal", (signal, offset) => …)\` is called with the two
items of the payload of \`new_signal\`.`;

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

/** A request of clients, and how it is answered. */
interface Request {
  readonly reply: readonly SocketMessage[];
  readonly summary: string;
  readonly description: string;
}

function receive(name: SocketMessage, { reply, summary, description }: Request): Json {
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

/** A Pub/Sub channel, and the variable that names it. */
interface RedisChannel {
  readonly name: string;
  readonly variable: string;
  readonly fallback: string;
  readonly messageName: string;
}

function redisChannel({ name, variable, fallback, messageName }: RedisChannel): Json {
  return {
    address: `{${name}}`,
    title: `Pub/Sub channel ${variable}`,
    description:
      'A message is the JSON text of one payload, in UTF-8, of at most `MAX_SIGNAL_BYTES` bytes. Any other message is counted and ' +
      'logged, and delivered to nobody.',
    servers: [{ $ref: '#/servers/redis' }],
    parameters: { [name]: { description: `\`${variable}\` of the configuration.`, default: fallback } },
    messages: inComponents([messageName]),
  };
}

const SERVERS: Json = {
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
};

const [signals, statuses] = FEED_EVENTS;

const CHANNELS: Json = {
  feed: {
    address: '/',
    title: 'The feed',
    description: 'The default namespace of Socket.IO.',
    servers: [{ $ref: '#/servers/gateway' }],
    messages: inComponents(Object.keys(SOCKET_MESSAGES)),
  },
  signals: redisChannel({
    name: 'signalChannel',
    variable: 'SIGNAL_CHANNEL',
    fallback: signals,
    messageName: 'published_signal',
  }),
  statuses: redisChannel({
    name: 'statusChannel',
    variable: 'STATUS_CHANNEL',
    fallback: statuses,
    messageName: 'published_status',
  }),
};

const OPERATIONS: Json = {
  connect: receive('connect', {
    reply: ['welcome', 'connect_error', 'refusal'],
    summary: 'A client connects.',
    description:
      `It gets \`welcome\`, or is refused. Codes of \`data.code\` in a \`connect_error\`, besides \`invalid_topics\`, \`too_many_topics\`, ` +
      `\`topics_not_allowed\` and \`already_connected\` (a second socket on one connection):\n\n${list(TOKEN_ERRORS)}\n\n` +
      `After \`keys_unavailable\` the connection is closed without a \`connect_error\`, and the stock client tries again by itself. ` +
      `Before that, an HTTP answer may refuse it:\n\n${list(
        Object.fromEntries(
          Object.entries(REFUSALS).map(([code, { status: http, message: why }]) => [code, `${http}. ${why}`]),
        ),
      )}`,
  }),
  welcome: send('welcome', 'To the one client, when it is connected.'),
  newSignal: send('new_signal', 'To every client that wants the symbol.'),
  statusUpdate: send('status_update', 'To every client; a client that connects gets the newest of every service.'),
  gap: send('gap', 'To a client that cannot get everything it missed.'),
  checkpoint: send(
    'checkpoint',
    'To clients with topics: when `subscribe` has changed them, and every 10 s if the journal has moved.',
  ),
  subscribe: receive('subscribe', {
    reply: ['subscribe_answer'],
    summary: 'A client replaces all its topics.',
    description:
      `\`const answer = await socket.emitWithAck("subscribe", ["BTC/USDT"])\`. Signals before the answer follow the old topics, ` +
      `signals after it the new ones. Codes of a refusal, which changes nothing:\n\n${list(SUBSCRIBE_ERRORS)}`,
  }),
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
};

/** The schemas that messages refer to, by their names. */
function schemas(): Json {
  return jsonSchemas(
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
}
