import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Certificate } from '../support/certificate.js';
import { CAN_RENDER, ROOT, render } from '../support/manifests.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

const RULES = parse(read('deploy/prometheus/alerts.yaml')) as Rules;
const ALERTS = RULES.groups.flatMap(({ rules }) => rules);
const DASHBOARD = JSON.parse(read('k8s/components/monitoring/grafana-dashboard.json')) as Dashboard;
const DOCS = read('docs/operations.md');

/** Metrics whose names the docs' table has. */
const DOCUMENTED = [...DOCS.matchAll(/^\| `(gateway_\w+)` +\|/gm)].map(([, name = '']) => name);

/** Every query that anybody makes of the gateway's metrics, by who makes it. */
const QUERIES: readonly (readonly [string, string])[] = [
  ...ALERTS.map(({ alert, expr }) => [alert, expr] as const),
  ...DASHBOARD.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
  ...DASHBOARD.templating.list.flatMap(({ name, definition }) =>
    definition === undefined ? [] : [[name, /label_values\((.*), \w+\)/.exec(definition)?.[1] ?? ''] as const],
  ),
  ...render('base', ['keda'])
    .filter(({ kind }) => kind === 'ScaledObject')
    .flatMap((object) => {
      const { spec } = object as unknown as { spec: { triggers: { type: string; metadata: { query: string } }[] } };
      return spec.triggers
        .filter(({ type }) => type === 'prometheus')
        .map(({ metadata }) => ['KEDA', metadata.query] as const);
    }),
];

/**
 * The metrics that a query asks for.
 *
 * @throws for a query that is not PromQL
 */
function metricsOf(query: string): string[] {
  // Grafana puts a duration there.
  const text = query.replaceAll('$__rate_interval', '5m');
  const names: string[] = [];
  parser.parse(text).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${text}`);
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector') names.push(text.slice(from, to));
    },
  });
  return names;
}

const cleanup = new Cleanup();
/** The names in a scrape of a real pod, labelled ones that nobody counted yet included; histograms with their parts. */
let metrics: string[];
beforeAll(async () => {
  const redis = await RedisServer.start(cleanup);
  const { certFile, keyFile } = new Certificate(cleanup, 'gateway');
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, TLS_CERT: certFile, TLS_KEY: keyFile });
  const text = await (await fetch(`${pod.adminUrl}/metrics`)).text();
  metrics = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name = '', kind]) =>
    kind === 'histogram' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
});
afterAll(() => cleanup.run());

test.skipIf(!CAN_RENDER)(
  'every metric that an alert, the dashboard or the autoscaler asks for is one that a pod has',
  () => {
    expect(ALERTS.length).toBeGreaterThan(10);
    expect(DASHBOARD.panels.length).toBeGreaterThan(20);
    const asked = QUERIES.flatMap(([who, query]) => metricsOf(query).map((name) => [who, name] as const));
    expect(asked.length).toBeGreaterThanOrEqual(QUERIES.length);
    expect(asked.filter(([, name]) => !metrics.includes(name))).toEqual([]);
  },
);

test('the reader of queries finds every metric in one, and refuses what is not PromQL', () => {
  expect(
    metricsOf('histogram_quantile(0.9, sum by (le) (rate(a_bucket{job="x"}[$__rate_interval]))) > on (job) b'),
  ).toEqual(['a_bucket', 'b']);
  expect(() => metricsOf('sum(rate(a[5m])')).toThrow('not PromQL');
});

test('every metric of a pod is in docs/operations.md, and none that a pod has not', () => {
  const own = metrics.filter((name) => DOCUMENTED.includes(name) || !/_(?:bucket|sum|count)$/.test(name));
  const others = own.filter((name) => !name.startsWith('gateway_'));
  // These are of prom-client, which documents them.
  expect(others.filter((name) => !/^(?:process|nodejs)_/.test(name))).toEqual([]);
  expect(own.filter((name) => name.startsWith('gateway_')).toSorted()).toEqual(DOCUMENTED.toSorted());
});

test('every metric of the gateway is on the dashboard', () => {
  const shown = new Set(DASHBOARD.panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsOf(expr))));
  expect(DOCUMENTED.filter((name) => !shown.has(name) && !shown.has(`${name}_bucket`))).toEqual([]);
});

test('every alert has a section in docs/operations.md that its runbook link leads to, and no section is without one', () => {
  const sections = [...DOCS.matchAll(/^### (\w+)$/gm)].map(([, name = '']) => name);
  expect(ALERTS.map(({ alert }) => alert)).toEqual(sections);
  for (const { alert, annotations } of ALERTS)
    expect(annotations['runbook']).toBe(`docs/operations.md#${alert.toLowerCase()}`);
});

test.skipIf(!CAN_RENDER)('the Prometheus operator gets the same rules as a Prometheus without it', () => {
  const rule = render('base', ['monitoring']).find(({ kind }) => kind === 'PrometheusRule');
  expect(rule).toMatchObject({ spec: RULES });
});
