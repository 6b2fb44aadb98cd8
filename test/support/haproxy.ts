import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, type Cleanup, HOST, serverPort } from './processes.js';
import { until } from './until.js';

/** Whether HAProxy is on this machine; what needs it is skipped where it is not. */
export const HAS_HAPROXY = spawnSync('sh', ['-c', 'command -v haproxy']).status === 0;

/** Ports that a pod may come up on. */
export interface Slot {
  readonly port: number;
  readonly adminPort: number;
}

function configuration(port: number, slots: readonly Slot[]): string {
  const servers = slots.map(
    (slot, i) => `  server pod${i} ${HOST}:${slot.port} check port ${slot.adminPort} cookie pod${i}`,
  );
  return `global
  maxconn 9000
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  option redispatch 1
frontend public
  bind ${HOST}:${port}
  default_backend pods
backend pods
  balance leastconn
  # Every request of a long-polling session has to reach its pod, also while that lets its clients go.
  cookie POD insert indirect nocache
  force-persist if { url_param(sid) -m found }
  option httpchk
  # uWebSockets.js answers neither HTTP/1.0, which is the default here, nor a request without a Host.
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  http-check expect status 200
  default-server inter 250ms fall 1 rise 1
${servers.join('\n')}
`;
}

/** A real HAProxy in front of pods; its health checks ask `/readyz`. */
export class HaProxy {
  readonly slots: readonly Slot[];
  readonly #port: number;

  private constructor(port: number, slots: readonly Slot[]) {
    this.#port = port;
    this.slots = slots;
  }

  /** @param count - how many pods there may be */
  static async start(cleanup: Cleanup, count: number): Promise<HaProxy> {
    const slots: Slot[] = [];
    for (let i = 0; i < count; i++) slots.push({ port: await serverPort(), adminPort: await serverPort() });
    const port = await serverPort();
    const dir = await mkdtemp(join(tmpdir(), 'signal-gateway-haproxy-'));
    cleanup.add(dir, (path) => rm(path, { recursive: true, force: true }));
    const path = join(dir, 'haproxy.cfg');
    await writeFile(path, configuration(port, slots));
    const child = cleanup.add(new Child('haproxy', ['-db', '-f', path]), (self) => self.kill());
    const proxy = new HaProxy(port, slots);
    await until('HAProxy to listen', async () => (await fetch(proxy.url)).status > 0, {
      seen: () => child.stdout + child.stderr,
    });
    return proxy;
  }

  get url(): string {
    return `http://${HOST}:${this.#port}`;
  }
}
