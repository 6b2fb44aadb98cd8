import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, type Page, chromium } from 'playwright-core';
import type { Cleanup } from './processes.js';

/** Where Debian puts Chromium; see `system-programs.ts`. */
export const CHROMIUM = '/usr/bin/chromium';

/** Whether there is a browser on this machine. */
export const hasChromium = existsSync(CHROMIUM);

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Starts Chromium. @param args - more switches */
export function startBrowser(cleanup: Cleanup, args: readonly string[] = []): Promise<Browser> {
  return chromium
    .launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', ...args],
    })
    .then((browser) => cleanup.add(browser, (self) => self.close()));
}

/** A page in a profile of its own, with what it said and asked for. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of the console, those of the network among them, and what was thrown. */
  readonly errors: string[];
  /** Every address that was asked for, WebSockets too. */
  readonly asked: string[];
}

/** Opens a page, in a profile that is closed by the clean-up, and keeps what it says and asks for. */
export async function openPage(
  cleanup: Cleanup,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  cleanup.add(context, (self) => self.close());
  const page = await context.newPage();
  const errors: string[] = [];
  const asked: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('request', (request) => asked.push(request.url()));
  page.on('websocket', (socket) => asked.push(socket.url()));
  await page.goto(url);
  return { page, errors, asked };
}

/** A finding of axe. */
export interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly help: string;
  readonly nodes: readonly string[];
}

/** Runs axe over the page. The page's own policy forbids scripts like it, so it comes in through the debugger. */
export async function axeFindings(page: Page): Promise<Finding[]> {
  await page.evaluate(AXE);
  return page.evaluate<
    Finding[]
  >(`axe.run(document).then(({ violations }) => violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, nodes: nodes.map(({ target, failureSummary }) => target.join(' ') + ': ' + failureSummary) })))`);
}
