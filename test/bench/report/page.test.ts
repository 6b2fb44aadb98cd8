import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drawPictures } from '../../../bench/report/charts.js';
import { writeFiles } from '../../../bench/report/files.js';
import { niceTicks, percentileLabel } from '../../../bench/report/lines.js';
import { pageHtml } from '../../../bench/report/page.js';
import { barExamples, fanoutExample, result, row, saturationExample, scenario, table } from './example.js';

const CHROMIUM = '/usr/bin/chromium';
const RESULT = result(fanoutExample(), saturationExample(), ...barExamples());
const PICTURES = drawPictures(RESULT);

test('every scenario has its section, its figures and its pictures', () => {
  const html = pageHtml(RESULT, PICTURES);
  for (const { name } of RESULT.scenarios) expect(html).toContain(`<section id="${name}">`);
  expect(html).toContain('20.00 <i>1.11×</i>');
  expect(html.match(/<figure/g)?.length).toBe([...PICTURES.values()].flat().length);
});

test('a marked row has its mark in the table, its sentence below and a ! in the pictures', () => {
  const html = pageHtml(RESULT, PICTURES);
  expect(html).toContain('<b>! python</b>: Its runs disagree by 24 % in p99 (140 to 178 ms).');
  expect(html).toContain('python !</text>');
  expect(html).toContain('1 of 29 rows are marked');
});

test('all texts are escaped, in the page and in its pictures', () => {
  const bad = `<img src=x onerror="alert(1)">&'`;
  const rows = [row(bad, { p50: 1, heapPerConnection: 3 }, { marks: [bad] })];
  const one = scenario(bad, [table(['p50', 'heapPerConnection'], rows, { point: bad })], {
    title: bad,
    settings: { [bad]: bad },
    notes: [bad],
  });
  const bench = { ...result(one), command: bad, versions: { [bad]: bad }, machine: { ...RESULT.machine, cpu: bad } };
  const html = pageHtml(bench, drawPictures(bench));
  expect(html).not.toContain('<img');
  expect(html).toContain('&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;&#39;');
});

test('a curve has a picture for each figure over its points and none for single points', () => {
  const names = PICTURES.get('saturation')?.map(({ name }) => name);
  expect(names).toEqual([
    'saturation-p50',
    'saturation-p99',
    'saturation-deliveriespersecond',
    'saturation-cpuperdelivery',
  ]);
});

test('a result without figures still makes a page', () => {
  const empty = result(scenario('fanout', [], { notes: ['It failed: no port.'] }));
  expect(pageHtml(empty, drawPictures(empty))).toContain('It failed: no port.');
});

test('ticks of a log axis are 1, 2 and 5 and hold every value', () => {
  expect(niceTicks([23, 180])).toEqual([20, 50, 100, 200]);
  expect(niceTicks([5])).toEqual([2, 5, 10]);
  expect([1, 2, 10, 100, 10_000].map(percentileLabel)).toEqual(['0 %', '50 %', '90 %', '99 %', '99.99 %']);
});

describe.skipIf(!existsSync(CHROMIUM))(`in a browser (skipped where there is no ${CHROMIUM})`, () => {
  let browser: Browser;
  const folder = mkdtempSync(join(tmpdir(), 'bench-page-'));
  const page = writeFiles(folder, RESULT);

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
  });

  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  test.each([
    ['a wide screen', 1100],
    ['a phone', 375],
  ])('the page asks for nothing, reports nothing and fits on %s', async (_, width) => {
    const tab = await browser.newPage({ viewport: { width, height: 800 } });
    const heard: string[] = [];
    tab.on('console', (message) => heard.push(message.text()));
    tab.on('pageerror', (error) => heard.push(error.message));
    tab.on('request', (request) => {
      if (request.url() !== pathToFileURL(page).href && !request.url().startsWith('data:')) heard.push(request.url());
    });
    await tab.goto(pathToFileURL(page).href);
    expect(heard).toEqual([]);
    const seen = await tab.evaluate<{ overflow: number; pictures: number }>(
      `({ overflow: document.documentElement.scrollWidth - innerWidth,
          pictures: [...document.querySelectorAll('figure')].filter((one) =>
            [...one.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().height > 30).length === 1).length })`,
    );
    expect(seen).toEqual({ overflow: 0, pictures: [...PICTURES.values()].flat().length });
    await tab.close();
  });

  test('each picture is also a file that stands alone', async () => {
    const files = readdirSync(join(folder, 'pictures'));
    expect(files).toContain('fanout-latency-percentiles.svg');
    const tab = await browser.newPage();
    for (const file of files) {
      await tab.goto(pathToFileURL(join(folder, 'pictures', file)).href);
      expect(await tab.evaluate('document.documentElement.nodeName')).toBe('svg');
      expect(await tab.evaluate('document.querySelectorAll("parsererror").length')).toBe(0);
    }
    await tab.close();
  });

  test('the result file holds the whole result', () => {
    expect(JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'))).toEqual(RESULT);
  });
});
