import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { HAS_HAPROXY } from '../support/haproxy.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Child, Cleanup, HOST, serverPort } from '../support/processes.js';
import { rawRequest } from '../support/raw-http.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

const HAS_NGINX = spawnSync('sh', ['-c', 'command -v nginx']).status === 0;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'signal-gateway-lb-'));
  return cleanup.add(path, () => rmSync(path, { recursive: true, force: true }));
}

/** A real HAProxy in front of one pod. */
class OneBackend {
  readonly url: string;
  readonly #control: string;

  private constructor(port: number, control: string) {
    this.url = `http://${HOST}:${port}`;
    this.#control = control;
  }

  /** @param backend - lines of the backend but for the server; @param server - what follows the server's address */
  static async start(pod: Pod, backend: readonly string[], server: string, mode = 'http'): Promise<OneBackend> {
    const port = await serverPort();
    const dir = folder();
    const control = join(dir, 'control');
    const config = `global
  maxconn 200
  stats socket ${control}
defaults
  mode ${mode}
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend public
  bind ${HOST}:${port}
  default_backend pods
backend pods
${backend.map((line) => `  ${line}\n`).join('')}  server pod ${HOST}:${pod.port} ${server}
`;
    writeFileSync(join(dir, 'haproxy.cfg'), config);
    const child = cleanup.add(new Child('haproxy', ['-db', '-f', join(dir, 'haproxy.cfg')]), (self) => self.kill());
    const self = new OneBackend(port, control);
    await until('HAProxy to run', () => self.check().then(() => true), { seen: () => child.stdout + child.stderr });
    return self;
  }

  /** What the last health check found: the state of the server, and the kind and status of the answer. */
  async check(): Promise<{ state: string; kind: string; status: string }> {
    const socket = connect(this.#control);
    socket.end('show stat\n');
    const [head = '', ...lines] = (await text(socket)).split('\n');
    const names = head.replace(/^# /, '').split(',');
    const row = lines.find((line) => line.startsWith('pods,pod,'))?.split(',');
    if (row === undefined) throw new Error('HAProxy does not know the server');
    const of = (name: string): string => row[names.indexOf(name)] ?? '';
    return { state: of('status'), kind: of('check_status'), status: of('check_code') };
  }
}

const FAST = 'inter 100ms fall 1 rise 1';

describe.skipIf(!HAS_HAPROXY)('health checks of HAProxy', () => {
  test('its default, which is HTTP/1.0, is refused with 505, so that the check says why the pod counts as down', async () => {
    const pod = await shared();
    const balancer = await OneBackend.start(pod, ['option httpchk'], `check port ${pod.adminPort} ${FAST}`);
    await until('the check to fail', async () => (await balancer.check()).state === 'DOWN');
    expect(await balancer.check()).toEqual({ state: 'DOWN', kind: 'L7STS', status: '505' });
  });

  test.each(['/healthz', '/readyz'])(
    'with the lines of docs/operations.md and %s the pod is up and serves',
    async (uri) => {
      const pod = await Pod.start(cleanup);
      const lines = [
        'option httpchk',
        `http-check send meth GET uri ${uri} ver HTTP/1.1 hdr Host gateway`,
        'http-check expect status 200',
      ];
      const balancer = await OneBackend.start(pod, lines, `check port ${pod.adminPort} ${FAST}`);
      await until('a good check', async () => (await balancer.check()).status === '200');
      expect((await balancer.check()).state).toBe('UP');
      for (const transport of ['polling', 'websocket'] as const) {
        const client = await FeedClient.connect(cleanup, balancer.url, { transports: [transport] });
        await pod.post('/v1/signals', signal(1));
        await until('the signal', () => client.signals.length > 0, { seen: () => client });
      }
    },
  );
});

describe('a request of another version than HTTP/1.1 is refused with 505 and a sentence, and the connection is closed', () => {
  test.each([
    ['OPTIONS / HTTP/1.0\r\n\r\n'],
    ['GET /healthz HTTP/1.0\r\n\r\n'],
    ['GET /healthz HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n'],
    ['GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\nHost: a\r\n\r\n'],
    ['GET /healthz\r\n\r\n'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['PROXY TCP4 203.0.113.9 192.0.2.1 50000 80\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('%j', async (request) => {
    const pod = await shared();
    for (const port of [pod.port, pod.adminPort]) {
      const answer = await rawRequest(port, [request]);
      expect([answer.status, answer.headers.get('connection')]).toEqual([505, 'close']);
      expect(answer.body).toContain('This server does not support HTTP/1.0.');
    }
    expect((await fetch(`${pod.adminUrl}/healthz`)).status).toBe(200);
  });
});

/** Starts a real nginx in front of one pod. @param lines - of its `location` */
async function nginx(pod: Pod, lines: readonly string[]): Promise<string> {
  const port = await serverPort();
  const dir = folder();
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`);
  writeFileSync(
    join(dir, 'nginx.conf'),
    `daemon off; master_process off; pid ${dir}/pid; error_log stderr; events { worker_connections 200; }
http {
  access_log off; ${paths.join(' ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream pods { server ${HOST}:${pod.port}; keepalive 8; keepalive_timeout 5s; }
  server { listen ${HOST}:${port}; location / { proxy_pass http://pods; ${lines.join(' ')} } }
}
`,
  );
  const child = cleanup.add(new Child('nginx', ['-c', join(dir, 'nginx.conf'), '-p', dir]), (self) => self.kill());
  const url = `http://${HOST}:${port}`;
  await until('nginx to listen', async () => (await fetch(url)).status > 0, { seen: () => child.stderr });
  return url;
}

describe.skipIf(!HAS_NGINX)('nginx in front', () => {
  test('on HTTP/1.0, its default for many years, gets 505', async () => {
    const url = await nginx(await Pod.start(cleanup), ['proxy_http_version 1.0;']);
    expect((await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).status).toBe(505);
  });

  test.each(['polling', 'websocket'] as const)(
    'with the lines of docs/operations.md it serves: %s',
    async (transport) => {
      const pod = await Pod.start(cleanup);
      const url = await nginx(pod, [
        'proxy_http_version 1.1;',
        'proxy_set_header Host $host;',
        'proxy_set_header Upgrade $http_upgrade;',
        'proxy_set_header Connection $connection_upgrade;',
        'proxy_buffering off;',
        'proxy_read_timeout 120s;',
      ]);
      const client = await FeedClient.connect(cleanup, url, { transports: [transport] });
      await pod.post('/v1/signals', signal(1));
      await until('the signal', () => client.signals.length === 1, { seen: () => client });
      expect(client.disconnects).toEqual([]);
    },
  );
});

describe.skipIf(!HAS_HAPROXY)('the PROXY protocol of HAProxy', () => {
  test('version 2 is read over, and all clients count as the proxy', async () => {
    const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '2', TRUST_PROXY: 'loopback' });
    const balancer = await OneBackend.start(pod, [], 'send-proxy-v2', 'tcp');
    for (const transport of ['polling', 'websocket'] as const) {
      await FeedClient.connect(cleanup, balancer.url, { transports: [transport] });
    }
    const answer = await fetch(`${balancer.url}/socket.io/?EIO=4&transport=polling`);
    expect([answer.status, await answer.json()]).toMatchObject([429, { code: 'max_connections_per_ip' }]);
  });

  test('version 1 is refused with 505', async () => {
    const balancer = await OneBackend.start(await Pod.start(cleanup), [], 'send-proxy', 'tcp');
    expect((await fetch(`${balancer.url}/socket.io/?EIO=4&transport=polling`)).status).toBe(505);
  });
});
