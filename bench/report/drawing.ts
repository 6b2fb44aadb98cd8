import * as echarts from 'echarts';
import type { EChartsOption } from 'echarts';

/** A picture, drawn for a wide screen and for a phone. */
export interface Picture {
  /** For a file's name, such as `fanout-percentiles`. */
  readonly name: string;
  /** What it shows; its caption. */
  readonly title: string;
  /** SVG text; colours are CSS variables of `colours.ts`. */
  readonly wide: string;
  readonly narrow: string;
  /** Whether two of them stand side by side on a wide screen. */
  readonly half: boolean;
}

/** Width and height in CSS pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Size of all text in pictures, in CSS pixels of the drawing. */
export const FONT = 12;

/** Where a picture belongs: its name in a file's name, its caption, and whether it takes half of the width. */
export type Frame = Pick<Picture, 'name' | 'title' | 'half'>;

/** Draws with ECharts, without a browser. */
export function draw(option: EChartsOption, { width, height }: Size): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontSize: FONT, color: 'var(--ink)' }, ...option });
    // The hover styles are for ECharts' own script, which is not in the page; the size is the page's to choose.
    return chart
      .renderToSVGString()
      .replaceAll(/<style[^>]*>[\s\S]*?<\/style>/g, '')
      .replaceAll(/ (?:class|ecmeta_\w+|pointer-events|baseProfile|version|xmlns:xlink)="[^"]*"/g, '')
      .replaceAll('font-family:sans-serif', 'font-family:inherit')
      .replace(/<svg width="\d+" height="\d+"/, '<svg');
  } finally {
    chart.dispose();
  }
}

/** What a server is called in a legend; a marked one has a `!`. */
export function legendName(server: string, marked: boolean): string {
  return marked ? `${server} !` : server;
}
