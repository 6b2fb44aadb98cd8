import { afterEach, expect, test } from 'vitest';
import { CONNECTION_ENDS, type ConnectionEnd, type EndReason } from '../../src/connection-ends.js';
import { FrontDoor } from '../support/front-door.js';
import { SECRET, claims, seconds, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { PollingSession } from '../support/polling-session.js';
import { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** How a connection of a stock client is brought to end for a reason. */
interface Ending {
  readonly transport: 'websocket' | 'polling';
  /** Configuration of the pod. */
  readonly env?: Readonly<Record<string, string>>;
  /** Set if the pod is gone afterwards, so that there is nobody to reconnect to. */
  readonly endsPod?: true;
  end(client: FeedClient, pod: Pod, door: FrontDoor): unknown;
}

/** The client's own WebSocket or request, to send what no client would. */
function sendRaw({ socket }: FeedClient, text: string): void {
  const { transport } = socket.io.engine;
  (transport as unknown as { ws: { send(text: string): void } }).ws.send(text);
}

function disconnect(pod: Pod, { socket }: FeedClient, reconnect: boolean): Promise<Response> {
  return pod.post('/v1/disconnect', { sid: socket.id, reconnect });
}

const ENDINGS: Readonly<Partial<Record<EndReason, Ending>>> = {
  'client namespace disconnect': { transport: 'websocket', end: ({ socket }) => socket.disconnect() },
  'transport close': { transport: 'websocket', end: (_client, _pod, door) => door.cut() },
  'transport error': { transport: 'websocket', end: (client) => sendRaw(client, '2') },
  'ping timeout': {
    transport: 'websocket',
    env: { PING_INTERVAL: '1000', PING_TIMEOUT: '1000' },
    end: (_client, _pod, door) => door.freeze(),
  },
  'parse error': { transport: 'websocket', end: (client) => sendRaw(client, 'x') },
  'forced close': { transport: 'websocket', end: (client, pod) => disconnect(pod, client, true) },
  'server namespace disconnect': { transport: 'websocket', end: (client, pod) => disconnect(pod, client, false) },
  drained: {
    transport: 'websocket',
    env: { DRAIN_SECONDS: '0' },
    endsPod: true,
    end: (_client, pod) => pod.child.process.kill('SIGTERM'),
  },
  flood: {
    transport: 'websocket',
    env: { MAX_MESSAGES_PER_SECOND: '5' },
    end: ({ socket }) => Array.from({ length: 20 }, () => socket.emit('anything')),
  },
  'token expired': { transport: 'websocket', env: { AUTH: 'jwt', JWT_SECRET: SECRET }, end: () => {} },
  'payload too large': {
    transport: 'websocket',
    env: { MAX_PAYLOAD: '16384' },
    end: ({ socket }) => socket.emit('anything', 'x'.repeat(20_000)),
  },
};

/** Provoked below, or by tests of their own (slow-reader, half-sent), or only by a pod that cannot drain. */
const ELSEWHERE: readonly EndReason[] = ['forced server close', 'slow client', 'memory', 'server shutting down'];

test('every reason for which a connection ends is provoked here or in a test of its own', () => {
  expect([...Object.keys(ENDINGS), ...ELSEWHERE].toSorted()).toEqual(Object.keys(CONNECTION_ENDS).toSorted());
});

/** A token that ends soon, and then ones that last. */
function tokens(): (send: (auth: object) => void) => void {
  let exp = seconds() - 3;
  return (send) => {
    void secretToken(claims({ exp })).then((token) => send({ token }));
    exp = seconds() + 600;
  };
}

test.each(Object.entries(ENDINGS) as [EndReason, Ending][])(
  'a connection that ends for "%s" is counted and logged so, and its client is told and reconnects as docs/events.md says',
  async (reason, ending) => {
    const { transport, env, endsPod } = ending;
    const pod = await Pod.start(cleanup, env);
    const door = await FrontDoor.open(cleanup, [pod]);
    const auth = reason === 'token expired' ? { auth: tokens() } : {};
    const client = await FeedClient.connect(cleanup, door.url, { transports: [transport], ...auth });
    await ending.end(client, pod, door);
    await until('the client to be told', () => client.disconnects.length > 0, { seen: () => client });
    const lines = (): unknown[] => pod.logs().filter(({ msg }) => msg === 'client disconnected');
    await until('a line in the log', () => lines().length > 0, { seen: () => pod.output() });
    expect(lines()[0]).toMatchObject({ reason });
    const { clientReasons, reconnects }: ConnectionEnd = CONNECTION_ENDS[reason];
    expect(clientReasons).toContain(client.disconnects[0]);
    expect(client.socket.active).toBe(reconnects);
    if (endsPod) return;
    expect(await pod.metric('gateway_disconnects_total', { reason })).toBeGreaterThan(0);
    if (reconnects) await client.welcomed(2);
  },
);

test('a connection on long-polling that ends for a packet of a namespace that it has not joined is counted as "forced server close"', async () => {
  const pod = await Pod.start(cleanup);
  const session = await PollingSession.open(pod);
  await session.poll();
  await session.post('42/other,["a"]');
  const reason = 'forced server close';
  await until('it to end', async () => (await pod.metric('gateway_disconnects_total', { reason })) === 1);
  // What the stock client takes for "transport close".
  expect(await session.poll()).toEqual(['1']);
});
