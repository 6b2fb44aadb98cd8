import type { BenchResult } from '../result.js';

/** Colours of one theme, by the name of the CSS variable that holds them. */
type Theme = Readonly<Record<string, string>>;

/** Servers that are known: the same colour and symbol in every picture. Colours differ in lightness too, for the colour-blind. */
const SERVERS: Readonly<Record<string, Look>> = {
  gateway: { variable: '--gateway', symbol: 'circle' },
  raw: { variable: '--raw', symbol: 'rect' },
  'stock-uws': { variable: '--stock-uws', symbol: 'triangle' },
  'stock-ws': { variable: '--stock-ws', symbol: 'diamond' },
  python: { variable: '--python', symbol: 'roundRect' },
};

/** For control rows that only one scenario has, in order of appearance. */
const SPARE: readonly Look[] = [
  { variable: '--spare-1', symbol: 'diamond' },
  { variable: '--spare-2', symbol: 'triangle' },
  { variable: '--spare-3', symbol: 'rect' },
];

/** Colours on a light background. */
export const LIGHT: Theme = {
  '--page': '#f6f7f9',
  '--card': '#ffffff',
  '--ink': '#1c2330',
  '--soft': '#5b6575',
  '--line': '#e1e5eb',
  '--mark': '#9a5b00',
  '--gateway': '#1f5fd6',
  '--raw': '#6d7684',
  '--stock-uws': '#d97706',
  '--stock-ws': '#b4307f',
  '--python': '#15803d',
  '--spare-1': '#0e7490',
  '--spare-2': '#7c3aed',
  '--spare-3': '#a16207',
};

/** Colours on a dark background. */
export const DARK: Theme = {
  '--page': '#10141b',
  '--card': '#181e28',
  '--ink': '#e6eaf0',
  '--soft': '#9aa5b5',
  '--line': '#2b3442',
  '--mark': '#f2b95c',
  '--gateway': '#6ea8ff',
  '--raw': '#a3adbb',
  '--stock-uws': '#f59e0b',
  '--stock-ws': '#f472b6',
  '--python': '#4ade80',
  '--spare-1': '#22d3ee',
  '--spare-2': '#b69bff',
  '--spare-3': '#facc15',
};

/** How a server is drawn. */
export interface Look {
  /** The CSS variable that holds its colour. */
  readonly variable: string;
  /** Its symbol, a name of ECharts. */
  readonly symbol: string;
}

/** How each server of a result is drawn, the same in every picture of it. */
export function looksOf({ scenarios }: BenchResult): ReadonlyMap<string, Look> {
  const names = new Set(
    scenarios.flatMap(({ tables }) => tables.flatMap(({ rows }) => rows.map(({ server }) => server))),
  );
  let others = 0;
  return new Map(
    [...names].map((name) => {
      const look = SERVERS[name] ?? SPARE[others++ % SPARE.length];
      return [name, look ?? { variable: '--ink', symbol: 'circle' }];
    }),
  );
}

function declarations(theme: Theme): string {
  return Object.entries(theme)
    .map(([name, value]) => `${name}:${value}`)
    .join(';');
}

/** The colours as CSS declarations for `:root`, the dark ones where the reader's system is dark. */
export function colourCss(): string {
  return `:root{${declarations(LIGHT)}}@media(prefers-color-scheme:dark){:root{${declarations(DARK)}}}`;
}
