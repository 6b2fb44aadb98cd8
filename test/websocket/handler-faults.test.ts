import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FAULTY = fileURLToPath(new URL('../support/faulty-pod.mjs', import.meta.url));

/** How a client gets a handler of its socket to fail. */
const WAYS: Readonly<Record<string, (client: FeedClient) => void>> = {
  connection: () => {},
  event: ({ socket }) => socket.emit('event'),
  answer: ({ socket }) => {
    socket.on('question', (answer: () => void) => answer());
    socket.emit('ask');
  },
  disconnecting: ({ socket }) => socket.disconnect(),
  disconnect: ({ socket }) => socket.io.engine.close(),
};

test.each(Object.keys(WAYS).flatMap((way) => ['websocket', 'polling'].map((transport) => [way, transport] as const)))(
  'a handler of "%s" that fails ends its own client over %s, and nobody else notices',
  async (way, transport) => {
    const pod = await Pod.start(cleanup, {}, { main: FAULTY });
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: [transport] });
    const client = new FeedClient(cleanup, pod.url, {
      transports: [transport],
      reconnection: false,
      auth: { fails: [way] },
    });
    client.socket.on('connect', () => WAYS[way]?.(client));
    await until('the fault', () => pod.faults().length > 0, { seen: () => pod.output() });
    expect(pod.faults()).toMatchObject([{ stage: 'event', err: { message: `failed at ${way}` } }]);
    await until('the client to be gone', async () => (await pod.metric('gateway_sessions')) === 1);
    expect(await pod.metric('gateway_unhandled_faults_total', { stage: 'event' })).toBe(1);
    expect(await pod.metric('gateway_connections')).toBe(1);
    await pod.post('/v1/signals', signal(1));
    await until('the signal', () => honest.signals.length === 1);
    expect(honest.disconnects).toEqual([]);
  },
);
