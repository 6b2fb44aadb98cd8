import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, type Cleanup, HOST, serverPort } from './processes.js';
import { until } from './until.js';

/**
 * A real HAProxy before one server as somebody writes it who reads no manual: it adds no header and checks nothing.
 *
 * @param port - of the server
 * @returns its address
 */
export async function plainHaProxy(cleanup: Cleanup, mode: 'http' | 'tcp', port: number): Promise<string> {
  const own = await serverPort();
  const dir = await mkdtemp(join(tmpdir(), 'signal-gateway-haproxy-'));
  cleanup.add(dir, (path) => rm(path, { recursive: true, force: true }));
  const path = join(dir, 'haproxy.cfg');
  await writeFile(
    path,
    `defaults
  mode ${mode}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend public
  bind ${HOST}:${own}
  default_backend pods
backend pods
  server pod ${HOST}:${port}
`,
  );
  const child = cleanup.add(new Child('haproxy', ['-db', '-f', path]), (self) => self.kill());
  const url = `http://${HOST}:${own}`;
  await until('HAProxy to listen', async () => (await fetch(url)).status > 0, {
    seen: () => child.stdout + child.stderr,
  });
  return url;
}
