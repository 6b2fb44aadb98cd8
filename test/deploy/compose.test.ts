import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/config.js';
import { ROOT } from '../support/manifests.js';

interface Service {
  readonly image?: string;
  readonly build?: { readonly target: string };
  readonly deploy?: { readonly replicas: number };
  readonly environment?: Readonly<Record<string, string>>;
  readonly stop_grace_period?: string;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

const COMPOSE = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8')) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const { gateway } = COMPOSE.services;

test('compose.yaml runs three gateways behind a load balancer, with Redis, Prometheus and Grafana', () => {
  expect(Object.keys(COMPOSE.services).toSorted()).toEqual([
    'gateway',
    'grafana',
    'load-balancer',
    'prometheus',
    'redis',
  ]);
  expect(gateway?.deploy?.replicas).toBe(3);
  expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain(` AS ${gateway?.build?.target}\n`);
});

test('the gateway takes the settings of compose.yaml, and has time for its drain', () => {
  const env = gateway?.environment ?? {};
  expect(loadConfig(env)).toMatchObject({ adminHost: '0.0.0.0', redis: { kind: 'single' } });
  const drain = Number(env['DRAIN_DELAY_SECONDS']) + Number(env['DRAIN_SECONDS']);
  expect(Number.parseInt(gateway?.stop_grace_period ?? '', 10)).toBeGreaterThanOrEqual(drain + 10);
});

test('only the load balancer is open to other machines, and never the admin port', () => {
  const open = Object.entries(COMPOSE.services).flatMap(([name, { ports = [] }]) =>
    ports.filter((port) => !port.startsWith('127.0.0.1:')).map((port) => [name, port]),
  );
  expect(open).toEqual([['load-balancer', '3000:3000']]);
  expect(JSON.stringify(COMPOSE.services)).not.toContain(':3001');
});

test('every file and volume that compose.yaml mounts is there', () => {
  const sources = Object.values(COMPOSE.services).flatMap(({ volumes = [] }) =>
    volumes.map((volume) => volume.split(':')[0] ?? ''),
  );
  expect(sources.length).toBeGreaterThan(5);
  const missing = sources.filter((source) =>
    source.startsWith('.') ? !existsSync(join(ROOT, source)) : !(source in COMPOSE.volumes),
  );
  expect(missing).toEqual([]);
});
