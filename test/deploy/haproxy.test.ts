import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { HAS_HAPROXY } from '../support/haproxy.js';
import { ROOT } from '../support/manifests.js';
import { NameServer } from '../support/name-server.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Child, Cleanup, HOST, serverPort } from '../support/processes.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Where the gateways are: each on an address of its own and all on the same ports, as the containers of a service. */
const ADDRESSES = ['127.0.2.1', '127.0.2.2'] as const;

/** The load balancer of `compose.yaml`, with the name server and the ports of this test. */
class LoadBalancer {
  readonly port: number;
  readonly gatewayPort: number;
  readonly adminPort: number;
  readonly #control: string;

  private constructor(ports: readonly [number, number, number], control: string) {
    [this.port, this.gatewayPort, this.adminPort] = ports;
    this.#control = control;
  }

  static async start(names: NameServer): Promise<LoadBalancer> {
    const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-lb-'));
    cleanup.add(folder, (path) => rmSync(path, { recursive: true }));
    const ports = [await serverPort(), await serverPort(), await serverPort()] as const;
    const self = new LoadBalancer(ports, join(folder, 'control'));
    let config = readFileSync(join(ROOT, 'deploy/haproxy/haproxy.cfg'), 'utf8');
    for (const [there, here] of [
      // As many need more open files than a test may have.
      ['maxconn 30000', `maxconn 1000\n  stats socket ${self.#control}`],
      ['127.0.0.11:53', `${HOST}:${names.port}`],
      ['bind :3000', `bind ${HOST}:${self.port}`],
      ['check port 3001', `check port ${self.adminPort}`],
      ['gateway:3000', `gateway:${self.gatewayPort}`],
    ] as const) {
      if (config.split(there).length !== 2) throw new Error(`"${there}" is not in the configuration once`);
      config = config.replace(there, here);
    }
    writeFileSync(join(folder, 'haproxy.cfg'), config);
    const child = new Child('haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')]);
    cleanup.add(child, (haproxy) => haproxy.kill());
    await until('HAProxy to run', () => self.gatewaysUp().then(() => true), {
      seen: () => child.stdout + child.stderr,
    });
    return self;
  }

  /** Gateways that new clients are sent to. */
  async gatewaysUp(): Promise<number> {
    const socket = connect(this.#control);
    socket.end('show stat\n');
    const lines = (await text(socket)).split('\n');
    // "UP 1/2" is one whose last check failed; it gets clients until the next one does.
    return lines.filter((line) => /^gateways,gateway-\d+,.*,UP[ ,]/.test(line)).length;
  }

  /** Starts a gateway on one of the addresses. */
  startGateway(address: string): Promise<Pod> {
    const env = {
      HOST: address,
      ADMIN_HOST: address,
      PORT: String(this.gatewayPort),
      ADMIN_PORT: String(this.adminPort),
      DRAIN_DELAY_SECONDS: '10',
      DRAIN_SECONDS: '0',
    };
    return Pod.start(cleanup, env, { ready: false });
  }

  connect(transport: 'websocket' | 'polling'): Promise<FeedClient> {
    return FeedClient.connect(cleanup, `http://${HOST}:${this.port}`, {
      transports: [transport],
      withCredentials: true,
    });
  }

  async #clientsOf(address: string): Promise<number> {
    const answer = await fetch(`http://${address}:${this.adminPort}/metrics`);
    const counts = [...(await answer.text()).matchAll(/^gateway_connections\{.*\} (\d+)$/gm)];
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** Clients on each of the gateways. */
  clients(addresses: readonly string[] = ADDRESSES): Promise<number[]> {
    return Promise.all(addresses.map((address) => this.#clientsOf(address)));
  }
}

test.skipIf(!HAS_HAPROXY)(
  'the load balancer of compose.yaml passes a token of 8,192 characters and a cookie of 8 KB',
  { timeout: 60_000 },
  async () => {
    const names = await NameServer.start(cleanup);
    const balancer = await LoadBalancer.start(names);
    names.addresses = ADDRESSES.slice(0, 1);
    await balancer.startGateway(ADDRESSES[0]);
    await until('the gateway to be found', async () => (await balancer.gatewaysUp()) === 1);
    for (const transport of ['polling', 'websocket'] as const) {
      await FeedClient.connect(cleanup, `http://${HOST}:${balancer.port}`, {
        transports: [transport],
        extraHeaders: { authorization: `Bearer ${'t'.repeat(8192)}`, cookie: `c=${'c'.repeat(8190)}` },
      });
    }
    expect(await balancer.clients(ADDRESSES.slice(0, 1))).toEqual([2]);
  },
);

test.skipIf(!HAS_HAPROXY)(
  'the load balancer of compose.yaml finds gateways, sends no new clients to one that drains, and leaves it its sessions',
  { timeout: 60_000 },
  async () => {
    const names = await NameServer.start(cleanup);
    const balancer = await LoadBalancer.start(names);
    names.addresses = ADDRESSES.slice(0, 1);
    const first = await balancer.startGateway(ADDRESSES[0]);
    await until('the first gateway to be found', async () => (await balancer.gatewaysUp()) === 1);
    const clients = [await balancer.connect('polling'), await balancer.connect('websocket')];
    await balancer.startGateway(ADDRESSES[1]);
    names.addresses = ADDRESSES;
    await until('the second gateway to be found', async () => (await balancer.gatewaysUp()) === 2);
    expect(await balancer.clients()).toEqual([2, 0]);

    const end = first.child.kill('SIGTERM');
    await until('the load balancer to notice', async () => (await balancer.gatewaysUp()) === 1);
    // More than the other one has: by their numbers alone they would be shared out.
    const late = await Promise.all([1, 2, 3, 4].map(() => balancer.connect('websocket')));
    expect(await balancer.clients()).toEqual([2, 4]);
    // A request of the long-polling session; it would be refused by any other gateway.
    const answer: unknown = await clients[0]?.socket.timeout(5000).emitWithAck('subscribe', ['BTC/USDT']);
    expect(answer).toEqual({ ok: true, topics: ['BTC/USDT'] });
    expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);

    expect(await end).toBe(0);
    await until('everybody to be on the other gateway', async () => {
      const answers = await fetch(`http://${ADDRESSES[1]}:${balancer.adminPort}/metrics`);
      return /^gateway_connections\{transport="polling"\} 1$/m.test(await answers.text());
    });
    await until('everybody to be connected', () => [...clients, ...late].every(({ socket }) => socket.connected));
    expect(late.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  },
);
