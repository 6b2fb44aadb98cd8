import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry, collectDefaultMetrics } from 'prom-client';

/** What is running. */
export interface Build {
  readonly version: string;
  /** Version of uWebSockets.js. */
  readonly uws: string;
}

/** How often the loop is looked at, ms: what is measured is how late that is. */
const RESOLUTION_MS = 10;
const QUANTILES = [0.5, 0.9, 0.99, 1];
const NANOSECONDS = 1e9;

/** Seconds, from the histogram's nanoseconds between two looks; 0 when there was none since the last reset. */
function delay(histogram: IntervalHistogram, quantile: number): number {
  if (histogram.count === 0) return 0;
  const between = quantile === 1 ? histogram.max : histogram.percentile(quantile * 100);
  return Math.max(0, between - RESOLUTION_MS * 1e6) / NANOSECONDS;
}

/** Adds what is known of the process: its build, the delay of its event loop, and prom-client's own basics. */
export function addProcessMetrics(registry: Registry, { version, uws }: Build): void {
  new Gauge({
    name: 'gateway_build_info',
    help: 'Always 1; the labels say what is running',
    labelNames: ['version', 'node', 'uws'],
    registers: [registry],
  }).set({ version, node: process.versions.node, uws }, 1);

  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const gauge = new Gauge({
    name: 'gateway_event_loop_delay_seconds',
    help: 'How late timers of the event loop fired since the last scrape; quantile 1 is the worst',
    labelNames: ['quantile'],
    registers: [registry],
    collect() {
      for (const quantile of QUANTILES) gauge.set({ quantile: String(quantile) }, delay(histogram, quantile));
      histogram.reset();
    },
  });

  collectDefaultMetrics({ register: registry });
}
