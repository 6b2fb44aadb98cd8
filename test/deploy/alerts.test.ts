import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../support/manifests.js';

const RULES = join(ROOT, 'deploy/prometheus/alerts.yaml');
/** Prometheus's own program for testing rules; Debian's is in the package `prometheus`. */
const HAS_PROMTOOL = spawnSync('sh', ['-c', 'command -v promtool']).status === 0;

/** Series by their names, with values every 15 s, in promtool's notation; `undefined` takes one of {@link HEALTHY} away. */
type Series = Readonly<Record<string, string | undefined>>;

/** Samples of a series: 75 minutes. */
const N = 300;
/** When it is looked, which is sample 280. */
const AT = '70m';
const PODS = ['a', 'b', 'c'] as const;

/** A series of one pod. */
function of(pod: string, name: string, labels = ''): string {
  return `${name}{namespace="n",job="signal-gateway",instance="${pod}"${labels}}`;
}

/** The same series for every pod. */
function all(name: string, values: string, labels = ''): Series {
  return Object.fromEntries(PODS.map((pod) => [of(pod, name, labels), values]));
}

/** Every message within half a second, or within a millisecond. */
function fanout(slow: boolean): Series {
  const bucket = 'gateway_publish_to_fanout_seconds_bucket';
  return {
    ...all(bucket, slow ? `0x${N}` : `0+150x${N}`, ',le="0.001"'),
    ...all(bucket, `0+150x${N}`, ',le="0.5"'),
    ...all(bucket, `0+150x${N}`, ',le="+Inf"'),
  };
}

/** Three pods of 10,000 clients each, of whom some come and go. */
const HEALTHY: Series = {
  ...all('gateway_build_info', `1x${N}`, ',version="1"'),
  ...all('gateway_redis_up', `1x${N}`),
  ...all('gateway_redis_faults', `0x100 1 0x${N}`, ',aspect="read",cause="unreachable"'),
  ...all('gateway_bridge_lease', `0x${N}`),
  [of('a', 'gateway_bridge_lease')]: `1x${N}`,
  ...all('gateway_bridge_waiting', `0x${N}`),
  ...all('gateway_messages_dropped_total', `0x${N}`, ',reason="expired"'),
  ...all('gateway_source_entries_lost_total', `0x${N}`, ',event="new_signal"'),
  ...all('gateway_not_replicated_total', `0x${N}`),
  ...all('gateway_reader_lag_seconds', `0x${N}`),
  ...all('gateway_reader_lag_entries', `0x${N}`),
  ...fanout(false),
  ...all('gateway_event_loop_delay_seconds', `0.01x${N}`, ',quantile="0.99"'),
  ...all('gateway_slow_clients_total', `0+1x${N}`),
  ...all('gateway_connections', `10000x${N}`, ',transport="websocket"'),
  ...all('gateway_connects_total', `10000+150x${N}`),
  ...all('gateway_recoveries_total', `0+100x${N}`, ',result="recovered"'),
  ...all('gateway_refusals_total', `0+1x${N}`, ',reason="origin"'),
  ...all('gateway_buffered_bytes', `1000000x${N}`),
  ...all('gateway_memory_share', `0.4x${N}`),
  ...all('gateway_draining', `0x${N}`),
  ...all('gateway_unhandled_faults_total', `0x${N}`),
  ...all('gateway_tls_not_after_seconds', `3000000x${N}`),
};

/** Two samples before the look, so many clients come to a pod at once. */
function comers(pods: readonly string[], clients: number): Series {
  return Object.fromEntries(
    pods.map((pod) => [of(pod, 'gateway_connects_total'), `10000x278 ${10_000 + clients}x${N - 279}`]),
  );
}

/** What goes wrong, by the alert that is to fire, and no other. */
const WRONG: Readonly<Record<string, Series>> = {
  SignalGatewayMissing: Object.fromEntries(Object.keys(HEALTHY).map((name) => [name, undefined])),
  SignalGatewayRedisDown: all('gateway_redis_up', `0x${N}`),
  SignalGatewayPodWithoutRedis: { [of('b', 'gateway_redis_up')]: `0x${N}` },
  SignalGatewayRedisFault: {
    [of('b', 'gateway_redis_faults', ',aspect="append",cause="out_of_memory"')]: `1x${N}`,
  },
  SignalGatewayNoBridge: { [of('a', 'gateway_bridge_lease')]: `0x${N}` },
  SignalGatewayTwoBridges: { [of('b', 'gateway_bridge_lease')]: `1x${N}` },
  SignalGatewayBridgeBehind: { [of('a', 'gateway_bridge_waiting')]: `2000x${N}` },
  SignalGatewayMessagesDropped: {
    [of('a', 'gateway_messages_dropped_total', ',reason="expired"')]: `0x270 5x${N - 271}`,
  },
  SignalGatewaySourceEntriesLost: {
    [of('a', 'gateway_source_entries_lost_total', ',event="new_signal"')]: `0x270 5x${N - 271}`,
  },
  SignalGatewayNotReplicated: { [of('a', 'gateway_not_replicated_total')]: `0x270 5x${N - 271}` },
  SignalGatewayMessagesRejected: {
    [of('a', 'gateway_messages_rejected_total', ',source="http",event="new_signal",reason="shape"')]: `0+15x${N}`,
  },
  SignalGatewayReaderBehind: {
    [of('a', 'gateway_reader_lag_seconds')]: `5x${N}`,
    [of('a', 'gateway_reader_lag_entries')]: `10x${N}`,
  },
  SignalGatewayDeliverySlow: fanout(true),
  SignalGatewayEventLoopSlow: { [of('a', 'gateway_event_loop_delay_seconds', ',quantile="0.99"')]: `0.2x${N}` },
  SignalGatewaySlowClients: { [of('a', 'gateway_slow_clients_total')]: `0+30x${N}` },
  SignalGatewayBufferedBytes: { [of('a', 'gateway_buffered_bytes')]: `300000000x${N}` },
  SignalGatewayMemoryHigh: { [of('a', 'gateway_memory_share')]: `0.85x${N}` },
  SignalGatewayReconnectWave: comers(PODS, 10_000),
  SignalGatewayRefusing: { [of('a', 'gateway_refusals_total', ',reason="max_connections"')]: `0+60x${N}` },
  SignalGatewayGaps: { [of('a', 'gateway_recoveries_total', ',result="expired"')]: `0+100x${N}` },
  SignalGatewayDrainStuck: { [of('a', 'gateway_draining')]: `1x${N}` },
  SignalGatewayCertificateEnds: { [of('a', 'gateway_tls_not_after_seconds')]: `500000x${N}` },
  SignalGatewayFault: { [of('a', 'gateway_unhandled_faults_total')]: `0x270 1x${N - 271}` },
  SignalGatewayVersionsMixed: { [of('d', 'gateway_build_info', ',version="2"')]: `1x${N}` },
};

/** What goes as it should, though it may look otherwise. */
const RIGHT: Readonly<Record<string, Series>> = {
  'three pods serve': {},
  'nobody publishes': Object.fromEntries(Object.keys(fanout(false)).map((name) => [name, `7x${N}`])),
  'a pod drains and its clients come to the others': {
    ...comers(['b', 'c'], 5000),
    [of('a', 'gateway_draining')]: '0x276 1 1 _x20',
    [of('a', 'gateway_connections', ',transport="websocket"')]: '10000x276 7000 0 _x20',
  },
  'pods have neither Redis nor TLS': Object.fromEntries(
    Object.keys(HEALTHY)
      .filter((name) => /^gateway_(?:redis|bridge|reader|tls)/.test(name))
      .map((name) => [name, undefined]),
  ),
};

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'signal-gateway-alerts-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** The alerts that fire: what promtool says of a test that expects one that can not be. */
function firing(changes: Series): string[] {
  const series = Object.entries({ ...HEALTHY, ...changes }).flatMap(([name, values]) =>
    values === undefined ? [] : [{ series: name, values }],
  );
  const look = {
    expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: AT,
    exp_samples: [{ labels: '{alertname="none"}', value: -1 }],
  };
  const file = join(folder, 'test.json');
  const tests = [{ interval: '15s', input_series: series, promql_expr_test: [look] }];
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '15s', tests }));
  const { stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8', timeout: 60_000 });
  const [, got] = /got:(.*)$/ms.exec(stdout + stderr) ?? [];
  if (got === undefined) throw new Error(`promtool says something else: ${stdout}${stderr}`);
  return [...got.matchAll(/alertname="(\w+)"/g)].map(([, name = '']) => name);
}

test('each alert has a case in which it is to fire', () => {
  const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: { rules: { alert: string }[] }[] };
  expect(Object.keys(WRONG)).toEqual(groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)));
});

test.skipIf(!HAS_PROMTOOL).each(Object.entries(WRONG))(
  '%s fires where it should, alone (needs promtool)',
  (name, wrong) => {
    expect(firing(wrong)).toEqual([name]);
  },
);

test.skipIf(!HAS_PROMTOOL).each(Object.entries(RIGHT))('no alert fires when %s (needs promtool)', (_name, right) => {
  expect(firing(right)).toEqual([]);
});
