import type { EChartsOption, LineSeriesOption } from 'echarts';
import type { Look } from './colours.js';
import { FONT, type Frame, type Picture, type Size, draw, legendName } from './drawing.js';

const WIDE: Size = { width: 1140, height: 360 };
const HALF: Size = { width: 560, height: 310 };
const NARROW: Size = { width: 350, height: 300 };

/** A line of a picture: one server. */
export interface Line {
  readonly server: string;
  readonly look: Look;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Whether the row, or one behind the line, is marked: the legend has a `!`. */
  readonly marked: boolean;
  /** Points of rows that are marked, by their place in `points`; they are hollow. Without it a marked line is dashed. */
  readonly hollow?: ReadonlySet<number>;
  /** Whether points are few enough to be seen as such. */
  readonly symbols: boolean;
}

/** An axis of a picture of lines. */
export interface Axis {
  readonly name: string;
  readonly type: 'log' | 'value';
  /** Where there are ticks; the axis then ends where the values do. Without it a log axis has 1, 2, 5, 10, 20… */
  readonly ticks?: readonly number[];
  readonly label?: (value: number) => string;
}

/** 1, 2, 5, 10, 20… from below the lowest value to above the highest. */
export function niceTicks(values: readonly number[]): number[] {
  const positive = values.filter((value) => value > 0);
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  const all = Array.from({ length: 40 }, (_, i) => Number(`${[1, 2, 5][i % 3] ?? 1}e${Math.floor(i / 3) - 3}`));
  const first = all.findLastIndex((tick) => tick <= low);
  const last = all.findIndex((tick) => tick >= high);
  const ticks = all.slice(Math.max(0, first), last < 0 ? undefined : last + 1);
  return ticks.length > 1 ? ticks : all.slice(Math.max(0, first - 1), last + 2);
}

/** Ticks of a percentile axis, in {@link percentileLabel}'s scale: p0, p50, p90, p99…. */
export const PERCENTILE_TICKS: readonly number[] = [1, 2, ...[1, 2, 3, 4, 5, 6].map((nines) => 10 ** nines)];

/** The text of 1 / (1 − p): 2 is p50, 10 is p90, 1000 is p99.9. */
export function percentileLabel(inverse: number): string {
  return `${Number((100 - 100 / inverse).toFixed(6))} %`;
}

function axisOption(axis: Axis, values: readonly number[], spread: boolean): Record<string, unknown> {
  const label = axis.label ?? ((value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 3 }));
  const common = {
    name: axis.name,
    type: axis.type,
    nameTextStyle: { color: 'var(--soft)', fontSize: FONT },
    axisLine: { show: spread, lineStyle: { color: 'var(--line)' } },
    splitLine: { show: !spread, lineStyle: { color: 'var(--line)' } },
  };
  const text = { color: 'var(--soft)', fontSize: FONT, formatter: label, hideOverlap: true };
  const tick = { show: spread, lineStyle: { color: 'var(--line)' } };
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (axis.type === 'value' && axis.ticks === undefined)
    return { ...common, max: high, minInterval: 1, axisLabel: text, axisTick: tick };
  const customValues = axis.ticks?.filter((value) => value >= low && value <= high) ?? niceTicks(values);
  const ends = axis.ticks === undefined ? [customValues[0], customValues.at(-1)] : [low, high];
  return {
    ...common,
    min: ends[0],
    max: ends[1],
    axisLabel: { ...text, customValues },
    axisTick: { ...tick, customValues },
    splitLine: { ...common.splitLine, customValues },
  };
}

/** The two axes of a picture. */
export interface Axes {
  readonly x: Axis;
  readonly y: Axis;
}

/** Draws lines over two axes, in both sizes. */
export function drawLines(frame: Frame, { x, y }: Axes, lines: readonly Line[]): Picture {
  const series = lines.map(({ server, look, points, marked, symbols, hollow }): LineSeriesOption => ({
    type: 'line',
    name: legendName(server, marked),
    data: points.map((point, i) => ({
      value: [...point],
      ...(hollow?.has(i)
        ? { itemStyle: { color: 'var(--card)', borderColor: `var(${look.variable})`, borderWidth: 2 } }
        : {}),
    })),
    symbol: look.symbol,
    symbolSize: 8,
    showSymbol: symbols,
    showAllSymbol: true,
    color: `var(${look.variable})`,
    lineStyle: {
      color: `var(${look.variable})`,
      width: server === 'gateway' ? 3 : 2,
      type: marked && hollow === undefined ? 'dashed' : 'solid',
    },
    itemStyle: { color: `var(${look.variable})`, borderColor: 'var(--card)', borderWidth: 1 },
    emphasis: { disabled: true },
    // Ours on top of the others.
    z: server === 'gateway' ? 3 : 2,
  }));
  const points = lines.flatMap((line) => line.points);
  const option = (narrow: boolean): EChartsOption => ({
    // Below the legend, which takes two rows where there is little room, stands the name of the y axis.
    grid: {
      left: 4,
      right: narrow ? 20 : 28,
      top: narrow && lines.length > 3 ? 66 : 46,
      bottom: 6,
      outerBoundsMode: 'same',
    },
    legend: {
      top: 0,
      left: 0,
      itemWidth: 22,
      itemGap: narrow ? 10 : 18,
      textStyle: { color: 'var(--ink)', fontSize: FONT },
      data: series.map((one) => ({ name: String(one.name) })),
    },
    xAxis: {
      ...axisOption(
        x,
        points.map(([value]) => value),
        true,
      ),
      nameLocation: 'middle',
      nameGap: 26,
    },
    yAxis: {
      ...axisOption(
        y,
        points.map(([, value]) => value),
        false,
      ),
      nameTextStyle: { color: 'var(--soft)', align: 'left' },
    },
    series,
  });
  return { ...frame, wide: draw(option(frame.half), frame.half ? HALF : WIDE), narrow: draw(option(true), NARROW) };
}
