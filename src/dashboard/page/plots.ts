import uPlot from 'uplot';
import { duration } from './format.js';
import { SECONDS, type Points } from './timeline.js';

const HEIGHT = 132;
const FONT = '11px system-ui, sans-serif';
/** The gateway is mostly faster than a millisecond, the resolution of the time stamps. */
const MIN_LATENCY_MS = 1;
const FILL_ALPHA = '33';

/** A colour of the style sheet, as it is now: it follows light and dark. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axis(more: uPlot.Axis): uPlot.Axis {
  return {
    font: FONT,
    stroke: () => colour('--muted'),
    grid: { stroke: () => colour('--line'), width: 1 },
    ticks: { show: false },
    ...more,
  };
}

function xAxis(): uPlot.Axis {
  return axis({
    size: 26,
    gap: 9,
    space: 70,
    values: (plot, splits) => {
      const now = plot.data[0].at(-1) ?? 0;
      return splits.map((second) => {
        const ago = Math.round(now - second);
        if (ago <= 0) return 'now';
        return ago >= SECONDS - 1 ? '−2 min' : `−${ago} s`;
      });
    },
    splits: (plot) => {
      const now = plot.data[0].at(-1) ?? 0;
      return [SECONDS - 1, 90, 60, 30, 0].map((ago) => now - ago);
    },
  });
}

function base(holder: HTMLElement): Pick<uPlot.Options, 'width' | 'height' | 'legend' | 'cursor' | 'padding'> {
  return {
    width: holder.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 12, 0, 0],
  };
}

/** A second between two without any makes no line: it gets a point. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const isEmpty = (at: number): boolean => typeof values[at] !== 'number';
  return Array.from(values.keys()).filter((at) => !isEmpty(at) && isEmpty(at - 1) && isEmpty(at + 1));
}

function line(name: string, fill: boolean, dash?: number[]): uPlot.Series {
  return {
    width: 1.75,
    points: { show: true, size: 4, width: 0, fill: () => colour(name), filter: alone },
    stroke: () => colour(name),
    ...(fill && { fill: () => `${colour(name)}${FILL_ALPHA}` }),
    ...(dash && { dash }),
  };
}

/** The next number that, with its half, makes good marks of an axis. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 6, 8].find((factor) => factor * power >= value) ?? 10);
}

function ratePlot(holder: HTMLElement, points: Points): uPlot {
  const options: uPlot.Options = {
    ...base(holder),
    scales: { x: { time: false }, y: { range: (_plot, _min, max) => [0, roundUp(Math.max(4, max * 1.05))] } },
    axes: [xAxis(), axis({ size: 44, splits: (...[, , , max]) => [0, max / 2, max] })],
    series: [{}, line('--accent', true)],
  };
  return new uPlot(options, [points.seconds, points.rate], holder);
}

function latencyPlot(holder: HTMLElement, points: Points): uPlot {
  const options: uPlot.Options = {
    ...base(holder),
    scales: {
      x: { time: false },
      y: { distr: 3, range: (_plot, _min, max) => [MIN_LATENCY_MS, 10 ** Math.ceil(Math.log10(Math.max(100, max)))] },
    },
    axes: [
      xAxis(),
      axis({
        size: 52,
        splits: () => [1, 10, 100, 1000, 10_000, 100_000],
        filter: (_plot, splits) => splits,
        values: (_plot, splits) => splits.map((value) => duration(value).replace('.0', '')),
      }),
    ],
    series: [{}, line('--accent', false), line('--warm', false, [5, 3])],
  };
  return new uPlot(options, [points.seconds, ...latencies(points)], holder);
}

/** A logarithmic scale has no zero and nothing below, where latencies are when the clocks disagree. */
function clamp(value: number | null): number | null {
  return value === null ? null : Math.max(MIN_LATENCY_MS, value);
}

function latencies({ median, high }: Points): [(number | null)[], (number | null)[]] {
  return [median.map(clamp), high.map(clamp)];
}

/** The plots of rate and latency. */
export class Plots {
  readonly #rate: uPlot;
  readonly #latency: uPlot;

  constructor(rateHolder: HTMLElement, latencyHolder: HTMLElement, points: Points) {
    this.#rate = ratePlot(rateHolder, points);
    this.#latency = latencyPlot(latencyHolder, points);
    for (const [holder, plot] of [
      [rateHolder, this.#rate],
      [latencyHolder, this.#latency],
    ] as const) {
      new ResizeObserver(() => plot.setSize({ width: holder.clientWidth, height: HEIGHT })).observe(holder);
    }
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw(points));
  }

  draw(points: Points): void {
    this.#rate.setData([points.seconds, points.rate]);
    this.#latency.setData([points.seconds, ...latencies(points)]);
  }
}
