/**
 * What a bench measures, as plain data: scenarios fill it, the report draws it, `--baseline` compares it. It is what the
 * JSON file holds.
 */

/** Every figure that a run can have. Latencies are in milliseconds and start when a signal was due. */
export const FIGURES = {
  p50: { title: 'p50', unit: 'ms', better: 'lower', digits: 2 },
  p90: { title: 'p90', unit: 'ms', better: 'lower', digits: 2 },
  p99: { title: 'p99', unit: 'ms', better: 'lower', digits: 2 },
  p999: { title: 'p99.9', unit: 'ms', better: 'lower', digits: 2 },
  max: { title: 'max', unit: 'ms', better: 'lower', digits: 1 },
  spreadP50: { title: 'spread p50', unit: 'ms', better: 'lower', digits: 2 },
  spreadP99: { title: 'spread p99', unit: 'ms', better: 'lower', digits: 2 },
  cpuPerDelivery: { title: 'CPU/delivery', unit: 'µs', better: 'lower', digits: 2 },
  bytesPerDelivery: { title: 'bytes/delivery', unit: 'bytes', better: 'lower', digits: 1 },
  cpuPerHeartbeat: { title: 'CPU/heartbeat', unit: 'µs', better: 'lower', digits: 2 },
  cpuShare: { title: 'CPU', unit: 'cores', better: 'lower', digits: 2 },
  deliveriesPerSecond: { title: 'deliveries', unit: '/s', better: 'higher', digits: 0 },
  sustainableRate: { title: 'sustainable', unit: 'signals/s', better: 'higher', digits: 0 },
  loopDelayP999: { title: 'loop delay p99.9', unit: 'ms', better: 'lower', digits: 2 },
  loopDelayMax: { title: 'loop delay max', unit: 'ms', better: 'lower', digits: 1 },
  connectsPerSecond: { title: 'connects', unit: '/s', better: 'higher', digits: 0 },
  cpuPerConnect: { title: 'CPU/connect', unit: 'µs', better: 'lower', digits: 1 },
  heapPerConnection: { title: 'heap/client', unit: 'KB', better: 'lower', digits: 2 },
  rssPerConnection: { title: 'RSS/client', unit: 'KB', better: 'lower', digits: 2 },
  backSeconds: { title: 'all back', unit: 's', better: 'lower', digits: 2 },
  requestsPerSecond: { title: 'requests', unit: '/s', better: 'higher', digits: 0 },
  appendP50: { title: 'append p50', unit: 'ms', better: 'lower', digits: 2 },
  appendP99: { title: 'append p99', unit: 'ms', better: 'lower', digits: 2 },
  appendsPerSecond: { title: 'appends', unit: '/s', better: 'higher', digits: 0 },
  readBackPerSecond: { title: 'read back', unit: '/s', better: 'higher', digits: 0 },
  addedMs: { title: 'added p50', unit: 'ms', better: 'lower', digits: 3 },
} as const satisfies Record<string, Figure>;

/** How a figure is named and read. */
export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  /** Decimals shown. */
  readonly digits: number;
}

/** The name of a figure in {@link FIGURES}. */
export type FigureName = keyof typeof FIGURES;

/** What the clients of one run counted; all but `expected` and `received` are 0 in a clean run. */
export interface Counts {
  /** Deliveries that were due: signals times the clients that want them. */
  readonly expected: number;
  readonly received: number;
  readonly lost: number;
  readonly twice: number;
  readonly outOfOrder: number;
  /** Connections that ended, or never came to be, without the scenario wanting it. */
  readonly dropped: number;
}

/** How busy each side was, in cores (1 is one core fully used). */
export interface Load {
  /** The busiest process of the server under test. */
  readonly server: number;
  /** The busiest process of the load generator, the publisher included. */
  readonly generator: number;
  /** Redis, where the run has one. */
  readonly redis?: number;
  /** Everything on the machine, as a share of its cores. */
  readonly machine: number;
}

/** What kept a run from going faster: a process above 80 % of a core, or the machine above 90 %; else nothing did. */
export type Limit = 'server' | 'generator' | 'redis' | 'machine' | 'none';

/** One second (or step) of a run. Latencies in ms. */
export interface TimelinePoint {
  /** Seconds since the timed part began. */
  readonly at: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly deliveries: number;
}

/** One run of one server. */
export interface Run {
  readonly figures: Partial<Readonly<Record<FigureName, number>>>;
  readonly counts?: Counts;
  readonly load?: Load;
  readonly limitedBy?: Limit;
  /** Latency in µs: HdrHistogram V2, compressed, base64. */
  readonly latency?: string;
  /** From the first client to the last, per signal, in µs; as `latency`. */
  readonly spread?: string;
  readonly timeline?: readonly TimelinePoint[];
  /** How late the publisher was with its signals, p99, in ms; it is in the latencies. */
  readonly publisherLate?: number;
  /** Where a server did not keep up: for how long deliveries came after the last signal, and whether that was waited for. */
  readonly backlog?: { readonly seconds: number; readonly cutShort: boolean };
}

/** The median of a figure over the runs, and its range. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** All runs of one server under one setting. */
export interface Row {
  /** As in `--against`; `gateway` is ours. */
  readonly server: string;
  readonly runs: readonly Run[];
  readonly figures: Partial<Readonly<Record<FigureName, Summary>>>;
  /** The histograms of all runs, merged; as {@link Run.latency}. */
  readonly latency?: string;
  readonly spread?: string;
  /** Why this row is not clean; empty if it is. Whole sentences. */
  readonly marks: readonly string[];
}

/** Rows that are compared: same setting, same machine, runs interleaved. */
export interface Table {
  /** What differs from the other tables of the scenario, such as `200 signals/s`; empty if there is only one. */
  readonly point: string;
  /** The value behind `point` where points make a curve, such as 200. */
  readonly x?: number;
  /** The row that ratios are relative to. @default 'raw' */
  readonly control?: string;
  /** Figures worth a column, in order. */
  readonly columns: readonly FigureName[];
  readonly rows: readonly Row[];
}

/** A scenario as it was run. */
export interface ScenarioResult {
  readonly name: string;
  /** What is measured, in a sentence. */
  readonly title: string;
  /** With units in the names, such as `{ clients: 5000, 'signals/s': 25 }`. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** What `x` of the tables means, where they make a curve. */
  readonly axis?: string;
  /** The load is raised until a server does not keep up: what is late or cut off then is the result, and not a fault. */
  readonly overloads?: true;
  readonly tables: readonly Table[];
  /** What the reader must know, such as a control row that could not run. */
  readonly notes: readonly string[];
}

/** A whole run of the bench. */
export interface BenchResult {
  readonly schema: 1;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  /** The command line after `npm run bench --`. */
  readonly command: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly kernel: string;
  };
  /** Names and versions: node, uWebSockets.js, socket.io, redis-server, commit and the like. */
  readonly versions: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioResult[];
}
