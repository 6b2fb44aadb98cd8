import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { shell } from '../../support/cli.js';
import { headOf, pricesAfter } from '../../support/journal-pages.js';
import { Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { signal } from '../../support/signals.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test('lines of a file, 100,000 of them on standard input, are all in the journal, in order', async () => {
  const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '200000' });
  const begin = await headOf(pod);
  const folder = cleanup.add(mkdtempSync(join(tmpdir(), 'signal-gateway-publish-')), (self) =>
    rmSync(self, { recursive: true }),
  );
  const numbers = Array.from({ length: 100_000 }, (_, i) => i);
  writeFileSync(join(folder, 'lines.jsonl'), numbers.map((i) => `${JSON.stringify(signal(i))}\n`).join(''));
  const child = shell(cleanup, `signal-gateway publish < ${folder}/lines.jsonl`, { ADMIN_URL: pod.adminUrl });
  expect([await child.exit, child.stdout, child.stderr]).toEqual([0, '', '100,000 published.\n']);
  expect(await pricesAfter(pod, begin)).toEqual(numbers);
}, 120_000);
