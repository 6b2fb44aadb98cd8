import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

/** What is running. */
export interface Build {
  readonly version: string;
  /** Version of uWebSockets.js. */
  readonly uws: string;
}

/**
 * How often the loop is checked: the delay is how late the check runs. Each check wakes the process up: a hundred a second
 * would be most of what an idle pod costs.
 */
const RESOLUTION_MS = 50;
const QUANTILES = [0.5, 0.9, 0.99, 1];
const NANOSECONDS = 1e9;

/** The delay in seconds, from the histogram's nanoseconds between two checks; 0 without a check since the last reset. */
function delay(histogram: IntervalHistogram, quantile: number): number {
  if (histogram.count === 0) return 0;
  const between = quantile === 1 ? histogram.max : histogram.percentile(quantile * 100);
  return Math.max(0, between - RESOLUTION_MS * 1e6) / NANOSECONDS;
}

/**
 * Adds the basics of a process, under the names that Prometheus's own clients use.
 *
 * Not prom-client's defaults: they list the open files at every scrape, which stops the loop for 44 ms with 10,000
 * clients.
 */
function addBasics(registry: Registry): void {
  const registers = [registry];
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, user and system, in seconds',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      cpu.reset();
      cpu.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, Unix time in seconds',
    registers,
  }).set(performance.timeOrigin / 1000);
  // Gauges are read in the order in which they are made: the first one sets all three.
  const resident = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process',
    registers,
    collect() {
      const memory = process.memoryUsage();
      resident.set(memory.rss);
      heap.set(memory.heapUsed);
      external.set(memory.external);
    },
  });
  const heap = new Gauge({ name: 'nodejs_heap_size_used_bytes', help: 'Heap in use', registers });
  const external = new Gauge({
    name: 'nodejs_external_memory_bytes',
    help: 'Memory of buffers and the like',
    registers,
  });
}

/** Adds the metrics of the process: its build, the delay of its event loop, its CPU time and its memory. */
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

  addBasics(registry);
}
