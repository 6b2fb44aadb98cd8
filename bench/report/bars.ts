import type { Look } from './colours.js';
import { FONT, type Picture, type Size, draw, legendName } from './drawing.js';

/** Widths of a picture and height of a bar with its gap, in CSS pixels. */
const WIDE = 560;
const NARROW = 350;
const ROW = 32;

/** A bar: one server. */
export interface Bar {
  readonly server: string;
  readonly look: Look;
  readonly value: number;
  /** What stands at its end. */
  readonly label: string;
  readonly marked: boolean;
}

function drawAt(width: number, bars: readonly Bar[]): string {
  const size: Size = { width, height: 16 + bars.length * ROW };
  const highest = Math.max(...bars.map(({ value }) => value));
  const longest = Math.max(...bars.map(({ label }) => label.length));
  const names = Math.max(...bars.map(({ server, marked }) => legendName(server, marked).length)) * 7 + 12;
  // The label stands behind the longest bar, so that much of the width is not the bars'.
  const room = size.width - names - 8;
  return draw(
    {
      grid: { left: names, right: 8, top: 4, bottom: 4, outerBoundsMode: 'none' },
      xAxis: {
        type: 'value',
        min: 0,
        max: (highest * room) / Math.max(room - longest * 6.6 - 10, room * 0.3),
        show: false,
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: bars.map(({ server, marked }) => legendName(server, marked)),
        axisLine: { lineStyle: { color: 'var(--line)' } },
        axisTick: { show: false },
        axisLabel: { color: 'var(--ink)', fontSize: FONT, interval: 0 },
      },
      series: [
        {
          type: 'bar',
          barWidth: 20,
          silent: true,
          data: bars.map(({ value, look, label, marked }) => ({
            value,
            itemStyle: {
              borderRadius: [0, 3, 3, 0],
              ...(marked
                ? { color: 'var(--card)', borderColor: `var(${look.variable})`, borderWidth: 1.5, borderType: 'dashed' }
                : { color: `var(${look.variable})` }),
            },
            label: { show: true, position: 'right', formatter: () => label, color: 'var(--ink)', fontSize: FONT },
          })),
          emphasis: { disabled: true },
        },
      ],
    },
    size,
  );
}

/** Draws horizontal bars of one figure, in both sizes. */
export function drawBars(name: string, title: string, bars: readonly Bar[]): Picture {
  return { name, title, half: true, wide: drawAt(WIDE, bars), narrow: drawAt(NARROW, bars) };
}
