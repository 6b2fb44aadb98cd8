import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { cli } from '../support/cli.js';
import { test } from '../support/own-cleanup.js';
import { Pod } from '../support/pod.js';
import { type Cleanup, HOST } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { slowLine } from '../support/slow-line.js';

/** A file of lines of about 1 KB. */
function fileOf(cleanup: Cleanup, count: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-slow-'));
  cleanup.add(folder, (self) => rmSync(self, { recursive: true }));
  const file = join(folder, 'lines.jsonl');
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify(signal(i, { pad: 'x'.repeat(900) })));
  writeFileSync(file, lines.join('\n'));
  return file;
}

/** Something that takes connections and never answers. @param onData - told when something comes in */
async function mute(cleanup: Cleanup, onData: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    cleanup.add(socket, (self) => self.destroy());
    socket.on('error', () => {}).once('data', () => onData(socket));
    socket.resume();
  });
  cleanup.add(server, (self) => self.close());
  server.listen(0, HOST);
  await once(server, 'listening');
  return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'over a slow line publish says that its request came too slowly, and with --batch everything gets there',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    const url = await slowLine(cleanup, pod.adminPort, 12 * 1024);
    // With a key all that fits goes in one request, however fast it is read.
    const args = ['publish', fileOf(cleanup, 300), '--url', url, '--idempotency-key', 'over a slow line'];
    const [whole, parts] = [cli(cleanup, args), cli(cleanup, [...args, '--batch', '30'])];
    expect([await whole.exit, whole.stdout]).toEqual([1, '']);
    expect(whole.stderr).toMatch(
      /answered 408: The body came too slowly: .* Send fewer lines at once with --batch\.\n/,
    );
    expect(whole.stderr).toContain('0 published. Everything up to line 0 is done; continue from line 1.\n');
    expect(whole.stderr).not.toMatch(/signal-gateway start|https:|may have been published/);
    expect([await parts.exit, parts.stderr]).toEqual([0, '300 published.\n']);
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(300);
  },
  120_000,
);

test.concurrent(
  'publish says that its request may have come too slowly when it breaks off or has no answer',
  async ({ cleanup }) => {
    const file = fileOf(cleanup, 300);
    // As uWebSockets.js of an older gateway does it, as a proxy may do it, and as nobody should do it.
    const ends: ((socket: Socket) => void)[] = [
      (socket) => setTimeout(() => socket.destroy(), 3000),
      (socket) => setTimeout(() => socket.resetAndDestroy(), 3000),
      () => {},
    ];
    const children = await Promise.all(
      ends.map(async (end) => cli(cleanup, ['publish', file, '--retry-for', '0', '--url', await mute(cleanup, end)])),
    );
    for (const child of children) {
      expect([await child.exit, child.stdout]).toEqual([1, '']);
      expect(child.stderr).toMatch(
        /a request of \d+ KiB had no answer after \d+ s \(.+\)\. It may have arrived too slowly/,
      );
      expect(child.stderr).toContain('--batch');
      expect(child.stderr).toMatch(/lines 1 to \d+ may have been published/);
      expect(child.stderr).not.toMatch(/signal-gateway start|https:/);
    }
  },
  120_000,
);
