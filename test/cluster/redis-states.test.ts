import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { test } from '../support/own-cleanup.js';
import type { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import {
  type RedisStateCase,
  type Seen,
  type World,
  clusterWorld,
  cut,
  failSnapshots,
  observe,
  world,
} from '../support/redis-states.js';

/** What is to be seen of every state. */
const AS_PROMISED = {
  told: ['degraded', 'active'],
  warnings: 1,
  metric: 1,
  redisUp: 0,
  falseLease: false,
  posted: 202,
  arrived: [],
  metricAfter: 0,
};

function promised({ aspect, cause, words, outlasts }: RedisStateCase): Record<keyof Seen, unknown> {
  return {
    ...AS_PROMISED,
    words: expect.stringMatching(words),
    readyz: [503, expect.arrayContaining([`${aspect} ${cause}`])],
    givenUp: outlasts ? 1 : 0,
  };
}

/** Takes a right away from the user that the pod connects as; `end` gives it back. */
function without(
  right: string,
  aspect: RedisStateCase['aspect'] = 'append',
  more: Partial<RedisStateCase> = {},
): RedisStateCase {
  return {
    name: `the user may no longer ${right.toUpperCase()}`,
    aspect,
    cause: 'no_permission',
    words: /lacks a right|link to Redis is lost/,
    begin: ({ admin }) => admin.call('ACL', 'SETUSER', 'gateway', `-${right}`),
    end: ({ admin }) => admin.call('ACL', 'SETUSER', 'gateway', `+${right}`),
    ...more,
  };
}

const REFUSED = /^New signals are refused or late: /;

/** Each with a Redis of its own, for as long as it takes until messages are given up. */
const LASTING: readonly RedisStateCase[] = [
  {
    name: 'Redis is out of memory',
    aspect: 'append',
    cause: 'out_of_memory',
    words: REFUSED,
    begin: ({ admin }) => admin.config('SET', 'maxmemory', '1mb'),
    end: ({ admin }) => admin.config('SET', 'maxmemory', '0'),
  },
  {
    name: 'Redis has too few replicas',
    aspect: 'append',
    cause: 'no_replicas',
    words: REFUSED,
    begin: ({ admin }) => admin.config('SET', 'min-replicas-to-write', '1'),
    end: ({ admin }) => admin.config('SET', 'min-replicas-to-write', '0'),
  },
  {
    name: 'Redis cannot save its snapshot',
    aspect: 'append',
    cause: 'disk',
    words: REFUSED,
    begin: failSnapshots,
    end: ({ admin }) => admin.config('SET', 'stop-writes-on-bgsave-error', 'no'),
  },
  {
    name: 'Redis was made a replica by hand',
    aspect: 'append',
    cause: 'read_only',
    words: /Redis is read-only/,
    begin: ({ admin }) => admin.call('REPLICAOF', '127.0.0.1', '1'),
    end: ({ admin }) => admin.call('REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'the password was changed, and the connection for commands alone is lost',
    aspect: 'append',
    cause: 'password',
    words: /The link to Redis is lost/,
    begin: async (one) => {
      await one.admin.call('ACL', 'SETUSER', 'gateway', 'resetpass', '>new');
      await cut(one, 'commands');
    },
    end: ({ admin }) => admin.call('ACL', 'SETUSER', 'gateway', '>old'),
  },
];

/** On one Redis, one after the other. */
const SHORT: readonly RedisStateCase[] = [
  {
    name: 'a long script runs',
    aspect: 'append',
    cause: 'loading',
    words: /busy|link/,
    isDeaf: true,
    begin: ({ busy }) => {
      busy.eval('while true do end', 0).catch(() => {});
      return sleep(100);
    },
    end: ({ admin }) => admin.script('KILL'),
  },
  {
    // A PUBLISH waits too.
    name: 'writes are paused',
    isDeaf: true,
    aspect: 'append',
    cause: 'no_answer',
    words: /link to Redis is lost/,
    begin: ({ admin }) => admin.call('CLIENT', 'PAUSE', '60000', 'WRITE'),
    end: ({ admin }) => admin.call('CLIENT', 'UNPAUSE'),
  },
  {
    name: 'Redis hangs',
    aspect: 'heard',
    cause: 'no_answer',
    words: /link to Redis is lost/,
    isDeaf: true,
    begin: ({ redis }) => redis.kill('SIGSTOP'),
    end: ({ redis }) => redis.kill('SIGCONT'),
  },
  {
    name: 'Redis has no room for more connections',
    aspect: 'append',
    // Redis says why and hangs up, and what it says is mostly lost.
    cause: 'unreachable',
    words: /link to Redis is lost/,
    begin: async (one) => {
      await one.admin.config('SET', 'maxclients', '1');
      await cut(one, 'commands');
    },
    end: ({ admin }) => admin.config('SET', 'maxclients', '10000'),
  },
];

/** Each group on a Redis of its own: losses in quick succession are flapping, and their end is told later. */
const RIGHTS: readonly (readonly RedisStateCase[])[] = [
  [without('xadd'), without('evalsha')],
  [without('pexpire'), without('publish')],
  [without('info'), without('hset')],
  [
    without('xread', 'read', {
      begin: async (one: World) => {
        await one.admin.call('ACL', 'SETUSER', 'gateway', '-xread');
        await cut(one, 'reader');
      },
    }),
    without('subscribe', 'heard', {
      isDeaf: true,
      begin: async (one: World) => {
        await one.admin.call('ACL', 'SETUSER', 'gateway', '-subscribe');
        await cut(one, 'subscriber');
      },
    }),
  ],
];

describe.concurrent(
  'clients, /readyz, the log and the metrics say what is wrong with Redis, once, and say once that it is over',
  () => {
    test('when Redis refuses messages, until those that wait are given up', async ({ cleanup }) => {
      const seen = await Promise.all(
        LASTING.map(async (state) => observe(await world(cleanup), { ...state, outlasts: true })),
      );
      expect(table(LASTING, seen)).toEqual(
        table(
          LASTING,
          LASTING.map((state) => promised({ ...state, outlasts: true })),
        ),
      );
    });

    test('when Redis gives no answer, or takes no connection', async ({ cleanup }) => {
      await expectEach(await world(cleanup), SHORT);
    });

    test('when a part of a cluster cannot be used', async ({ cleanup }) => {
      const cluster = await RedisCluster.start(cleanup);
      await expectEach(await clusterWorld(cleanup, cluster), await clusterStates(cleanup, cluster));
    });

    test('when the user of the gateway lacks a right', async ({ cleanup }) => {
      await Promise.all(RIGHTS.map(async (states) => expectEach(await world(cleanup), states)));
    });
  },
);

/** The slot of the journal is left half moved; a node is down that has other slots. */
async function clusterStates(cleanup: Cleanup, { nodes }: RedisCluster): Promise<RedisStateCase[]> {
  const clients = nodes.map((node) => node.client(cleanup));
  const answers = await Promise.all(clients.map((one) => one.get('{gateway}:lease').catch(() => undefined)));
  const owner = answers.findIndex((answer) => answer !== undefined);
  const other = (owner + 1) % nodes.length;
  const [source, target] = [clients[owner], clients[other]];
  const [down] = nodes.filter((_, index) => index !== owner && index !== other);
  if (source === undefined || target === undefined || down === undefined) throw new Error('nobody has the slot');
  const slot = await source.cluster('KEYSLOT', '{gateway}:meta');
  const [sourceId, targetId] = [await source.call('CLUSTER', 'MYID'), await target.call('CLUSTER', 'MYID')];
  return [
    {
      name: 'a slot is left half moved',
      aspect: 'append',
      cause: 'slot',
      words: /Redis is moving its keys/,
      begin: async () => {
        await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(sourceId));
        await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(targetId));
      },
      end: async () => {
        for (const one of [source, target]) await one.call('CLUSTER', 'SETSLOT', slot, 'STABLE');
      },
    },
    {
      name: 'another node of the cluster is down',
      aspect: 'append',
      cause: 'cluster_down',
      words: /cluster is down|link to Redis is lost/,
      isDeaf: true,
      begin: () => down.kill(),
      end: () => down.restart(),
    },
  ];
}

/** Rows by the names of their states. */
function table<T>(states: readonly RedisStateCase[], rows: readonly T[]): Record<string, T | undefined> {
  return Object.fromEntries(states.map(({ name }, index) => [name, rows[index]]));
}

async function expectEach(one: World, states: readonly RedisStateCase[]): Promise<void> {
  const seen: Seen[] = [];
  for (const state of states) {
    seen.push(await observe(one, state));
  }
  expect(table(states, seen)).toEqual(table(states, states.map(promised)));
}
