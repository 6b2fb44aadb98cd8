import type { Cluster } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { RedisConnections } from '../../src/redis/connections.js';
import { parseRedisUrl } from '../../src/redis/url.js';
import { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test('a cluster is used whether its nodes announce no endpoint, no host name, or one that has no address', async () => {
  const redis = await RedisCluster.start(cleanup);
  const nodes = redis.nodeClients(cleanup);
  const set = (name: string, value: string): Promise<unknown> =>
    Promise.all(nodes.map((node) => node.config('SET', name, value)));
  for (const [type, hostname] of [
    ['unknown-endpoint', ''],
    ['hostname', ''],
    ['hostname', 'no-such-host.invalid'],
  ] as const) {
    await set('cluster-preferred-endpoint-type', type);
    await set('cluster-announce-hostname', hostname);
    await until(
      'the nodes to announce it',
      async () =>
        hostname === '' ||
        (await Promise.all(nodes.map((node) => node.cluster('SLOTS')))).every(
          (slots) => JSON.stringify(slots).split(hostname).length > 3,
        ),
      { limit: 15_000 },
    );
    expect(new Set(await heardThrough(redis.url))).toEqual(new Set(['plain', 'sharded']));
  }
}, 60_000);

/** Commands on keys of every node, redirects, and both kinds of Pub/Sub. */
async function heardThrough(url: string): Promise<string[]> {
  const target = parseRedisUrl(url);
  if (target === undefined) throw new Error(url);
  const connections = cleanup.add(new RedisConnections(target, 'test'), (all) => all.close());
  const commands = connections.commands('commands', { queue: false }) as Cluster;
  const faults: string[] = [];
  commands.on('node error', (error: Error) => faults.push(error.message));
  const isReady = (): boolean =>
    commands.status === 'ready' && commands.nodes('master').filter(({ status }) => status === 'ready').length === 3;
  await until('every node to be reached', isReady, { seen: () => faults });
  const setAll = (value: string): Promise<unknown> =>
    Promise.all(Array.from({ length: 30 }, (_, i) => commands.set(`key${i}`, value)));
  await setAll('first');
  // Every key is looked for at one node, which answers with redirects.
  const { slots } = commands as unknown as { slots: string[][] };
  const [first = []] = slots;
  slots.forEach((_, slot) => (slots[slot] = [...first]));
  await setAll('second');

  const subscriber = connections.commands('adapter', { queue: true });
  const heard: string[] = [];
  subscriber.on('smessage', (_channel: string, text: string) => heard.push(text));
  subscriber.on('pmessage', (_pattern: string, _channel: string, text: string) => heard.push(text));
  await subscriber.ssubscribe('{a}:sharded');
  await subscriber.psubscribe('plain*');
  const single = connections.single('producer');
  await single.connect();
  await single.publish('plain1', 'plain');
  await commands.spublish('{a}:sharded', 'sharded');
  await until('both messages', () => heard.length === 2, { seen: () => heard });
  single.disconnect();
  return heard;
}
