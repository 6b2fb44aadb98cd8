import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { Certificate } from '../support/certificate.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { failedStart, startGateway } from '../support/start.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** The name in the certificate that a new connection gets; with a server name or, as for an address, without one. */
function served(port: number, servername?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      host: HOST,
      port,
      rejectUnauthorized: false,
      ...(servername === undefined ? {} : { servername }),
    };
    const socket = connect(options, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

function secure(pod: Pod, transport: string): CheckedClient {
  return new CheckedClient(cleanup, pod.url.replace('http:', 'https:'), {
    transports: transport === 'upgrade' ? ['polling', 'websocket'] : [transport],
    rejectUnauthorized: false,
  });
}

async function start(certificate: Certificate, env: Record<string, string> = {}): Promise<Pod> {
  return Pod.start(cleanup, {
    TLS_CERT: certificate.certFile,
    TLS_KEY: certificate.keyFile,
    TLS_CHECK_INTERVAL: '100',
    ...env,
  });
}

test('a renewed certificate is shown to new clients; those that are connected stay, and nobody misses anything', async () => {
  const certificate = new Certificate(cleanup, 'first');
  const pod = await start(certificate);
  const clients = ['websocket', 'polling', 'upgrade'].map((transport) => secure(pod, transport));
  await until('the clients', () => clients.every(({ last }) => last !== undefined), { seen: () => clients });
  const running = { now: true };
  let sent = 0;
  const publishing = (async () => {
    while (running.now) expect((await pod.post('/v1/signals', signal(sent++))).status).toBe(202);
  })();
  for (const [renewals, name] of [
    [1, 'second'],
    [2, 'third'],
  ] as const) {
    certificate.replace(name);
    await until('the renewal', async () => (await pod.metric('gateway_tls_renewals_total')) === renewals);
    for (let i = 0; i < 10; i++) {
      expect([await served(pod.port), await served(pod.port, 'localhost')]).toEqual([name, name]);
    }
    const more = ['websocket', 'polling', 'upgrade'].map((transport) => secure(pod, transport));
    await until('more clients', () => more.every(({ last }) => last !== undefined), { seen: () => more });
    clients.push(...more);
    const before = sent;
    await until('signals to have gone on', () => sent > before + 20);
  }
  running.now = false;
  await publishing;
  const newest = await until('the last signal', () => clients[0]?.last);
  await until('everybody to have it', () => clients.every(({ last }) => last?.seq === sent), { seen: () => clients });
  expect(newest.seq).toBeGreaterThan(40);
  expect(summary(clients)).toMatchObject({ faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0, reconnects: 0 });
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  expect(await pod.metric('gateway_tls_renewals_total', { result: 'failed' })).toBe(0);
  expect(await pod.metric('gateway_tls_not_after_seconds')).toBeGreaterThan(Date.now() / 1000 + 86_400);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('files without a valid certificate and key change nothing, and are reported once', async () => {
  const certificate = new Certificate(cleanup, 'first');
  const pod = await start(certificate);
  const other = certificate.make('other');
  const mixed = certificate.make('mixed');
  copyFileSync(join(other, 'tls.key'), join(mixed, 'tls.key'));
  const failures = (): Record<string, unknown>[] =>
    pod.logs().filter(({ msg }) => String(msg).startsWith('the certificate could not be renewed'));
  certificate.use(mixed);
  await until('the failure', async () => (await pod.metric('gateway_tls_renewals_total', { result: 'failed' })) === 1);
  expect(await served(pod.port)).toBe('first');
  writeFileSync(join(mixed, 'tls.crt'), '-----BEGIN CERTIFICATE-----\nhalf');
  await until('another failure', () => failures().length === 2);
  certificate.use(other);
  await until('the good one', async () => (await served(pod.port)) === 'other');
  expect(failures()).toHaveLength(2);
  expect(pod.output()).not.toContain('PRIVATE KEY');
});

test('with TLS too, a port that is in use ends the start, and so do files without a valid certificate', async () => {
  const certificate = new Certificate(cleanup, 'first');
  const pod = await start(certificate);
  certificate.replace('second');
  await until('the renewal', async () => (await pod.metric('gateway_tls_renewals_total')) === 1);
  const tls = { TLS_CERT: certificate.certFile, TLS_KEY: certificate.keyFile };
  expect(await failedStart(startGateway(cleanup, { ...tls, PORT: String(pod.port) }))).toContain(`:${pod.port}`);
  expect(await failedStart(startGateway(cleanup, { ...tls, TLS_KEY: certificate.certFile }))).toContain('TLS_CERT');
});
