/**
 * The dashboard in Chromium under a fast feed: measures frames and memory; see `--help`. Exits 1 when frames are bad, memory
 * grows, or the page has missed something. With `--screenshots` it makes the pictures of the README instead.
 */
import { statSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { CDPSession, Page } from 'playwright-core';
import { CHROMIUM, hasChromium, openPage, startBrowser } from '../../test/support/browser.js';
import { MarketFeed } from '../../test/support/market-feed.js';
import { Pod } from '../../test/support/pod.js';
import { Cleanup } from '../../test/support/processes.js';
import { status } from '../../test/support/signals.js';
import { until } from '../../test/support/until.js';

const OPTIONS = {
  seconds: { type: 'string', default: '120' },
  rate: { type: 'string', default: '500' },
  screenshots: { type: 'boolean', default: false },
  out: { type: 'string', default: fileURLToPath(new URL('../../docs/images', import.meta.url)) },
  help: { type: 'boolean', default: false },
} as const;

const HELP = `npm run soak:dashboard -- [options]

  --seconds <n>   time of measuring (120)
  --rate <n>      signals a second (500)
  --screenshots   make the pictures of the README instead (npm run screenshots)
  --out <folder>  where these go (docs/images)
`;

/**
 * A frame in twenty may take this much longer than one in twenty takes on this machine when nothing comes: two frames of
 * 60 a second. Milliseconds.
 */
const MAX_LATE_MS = 34;
/** How long frames are measured before anything comes. */
const CONTROL_SECONDS = 5;
/** Bytes that the heap, after a full collection, may be larger by in the last third of the time than in the middle one. */
const MAX_GROWTH = 512 * 1024;
/** How often memory is measured. */
const HEAP_EVERY_SECONDS = 10;
const MIN_HEAPS = 6;
/** The page has filled all of its buffers by then. */
const WARM_UP_SECONDS = 20;
/** Until the plots of a picture are well filled. */
const PICTURE_SECONDS = 110;
const MEBIBYTE = 1024 * 1024;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The heap in use, in bytes, once all garbage is gone. */
async function heap(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage');
  return (await session.send('Runtime.getHeapUsage')).usedSize;
}

/** Seconds of processor time that the page's thread has taken. */
async function busySeconds(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics');
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? NaN;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function percentiles(sorted: readonly number[]): string {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => percentile(sorted, share).toFixed(1));
  return `p50 ${p50}, p95 ${p95}, p99 ${p99} ms`;
}

async function figureOf(page: Page, id: string): Promise<number> {
  return Number((await page.locator(`#${id}`).innerText()).replaceAll(',', ''));
}

async function soak(cleanup: Cleanup, seconds: number, rate: number): Promise<string[]> {
  const pod = await Pod.start(cleanup);
  const browser = await startBrowser(cleanup);
  const { page, errors } = await openPage(cleanup, browser, pod.url);
  const session = await page.context().newCDPSession(page);
  // How long after the one before each frame was drawn.
  await page.evaluate(
    `globalThis.frames_ = []; let last = performance.now();
     requestAnimationFrame(function next(now) { globalThis.frames_.push(now - last); last = now; requestAnimationFrame(next); })`,
  );
  const takeFrames = (): Promise<number[]> => page.evaluate<number[]>('globalThis.frames_.splice(0)');
  await sleep(CONTROL_SECONDS * 1000);
  const control = (await takeFrames()).toSorted((a, b) => a - b);
  const feed = cleanup.add(new MarketFeed(pod, rate), (self) => self.stop());
  await sleep(WARM_UP_SECONDS * 1000);
  await takeFrames();
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const heaps: number[] = [];
  const busyBefore = await busySeconds(session);
  const frames: number[] = [];
  for (let done = 0; done < seconds;) {
    const part = Math.min(HEAP_EVERY_SECONDS, seconds / MIN_HEAPS, seconds - done);
    await sleep(part * 1000);
    done += part;
    frames.push(...(await takeFrames()));
    heaps.push(await heap(session));
    say(
      `${Math.round(done)} s: ${await figureOf(page, 'received')} signals, ${frames.length} frames, heap ${(Number(heaps.at(-1)) / MEBIBYTE).toFixed(2)} MiB`,
    );
  }
  const busy = (await busySeconds(session)) - busyBefore;
  await feed.stop();
  await until('all signals to arrive', async () => (await figureOf(page, 'received')) >= feed.sent, { limit: 30_000 });
  const nodes = await page.evaluate<number>('document.querySelectorAll("*").length');
  const missed = await figureOf(page, 'missed');
  const sorted = frames.toSorted((a, b) => a - b);
  const late = percentile(sorted, 0.95) - percentile(control, 0.95);
  // The first third is left out: the browser compiles the page's code then.
  const third = Math.floor(heaps.length / 3);
  const growth = mean(heaps.slice(-third)) - mean(heaps.slice(third, -third));
  say(`signals  ${feed.sent} sent at ${Math.round(feed.rate)} a second, ${missed} missed, ${nodes} elements`);
  say(`idle     ${control.length} frames: ${percentiles(control)}`);
  say(`frames   ${frames.length} frames: ${percentiles(sorted)}`);
  say(
    `busy     ${Math.round((100 * busy) / seconds)} % of the page's thread; load of the machine ${loadavg()[0]?.toFixed(1)}`,
  );
  say(
    `heap     ${heaps.map((value) => (value / MEBIBYTE).toFixed(2)).join(' ')} MiB; growth ${Math.round(growth)} bytes`,
  );
  return [
    ...(missed > 0 ? [`the page has missed ${missed} messages`] : []),
    ...(late <= MAX_LATE_MS ? [] : [`a frame in twenty is ${late.toFixed(1)} ms late, above ${MAX_LATE_MS}`]),
    ...(growth > MAX_GROWTH ? [`the heap grew by ${growth} bytes, above ${MAX_GROWTH}`] : []),
    ...errors.map((error) => `the console says: ${error}`),
  ];
}

/** Makes the pictures: a feed of a dozen symbols, some seconds of it in the plots. */
async function screenshots(cleanup: Cleanup, folder: string): Promise<string[]> {
  const pod = await Pod.start(cleanup);
  const browser = await startBrowser(cleanup);
  const looks = [
    ['dashboard', 'light'],
    ['dashboard-dark', 'dark'],
  ] as const;
  await pod.post('/v1/status', [
    status('active'),
    status('degraded', { service: 'PriceImporter', message: 'One of three sources answers late.' }),
  ]);
  const problems: string[] = [];
  // One at a time: together they would slow each other down, and show it.
  for (const [name, colorScheme] of looks) {
    const { page, errors } = await openPage(cleanup, browser, await pod.dashboardLink(), { colorScheme });
    const feed = cleanup.add(new MarketFeed(pod, 14), (self) => self.stop());
    await sleep(PICTURE_SECONDS * 1000);
    const path = `${folder}/${name}.png`;
    await page.screenshot({ path });
    await feed.stop();
    await page.close();
    const size = statSync(path).size;
    say(`${path}: ${Math.round(size / 1024)} KiB`);
    if (size > 250 * 1024) problems.push(`${path} is too large`);
    problems.push(...errors);
  }
  return problems;
}

const { values } = parseArgs({ options: OPTIONS });
if (values.help) {
  say(HELP);
} else {
  if (!hasChromium) throw new Error(`There is no ${CHROMIUM}.`);
  const cleanup = new Cleanup();
  try {
    const problems = values.screenshots
      ? await screenshots(cleanup, values.out)
      : await soak(cleanup, Number(values.seconds), Number(values.rate));
    for (const problem of problems) say(`FAILED: ${problem}`);
    if (problems.length > 0) process.exitCode = 1;
  } finally {
    await cleanup.run();
  }
}
