/** What a fleet of clients is asked for and what it tells; the messages between the bench and its worker processes. */

/** How the clients of a fleet connect and behave. */
export interface FleetPlan {
  /** Public ports of the pods; clients are spread over them in turn. */
  readonly ports: readonly number[];
  /** Where clients connect again, as a load balancer has it that knows of a dead pod. @default ports */
  readonly portsAfter?: readonly number[];
  readonly clients: number;
  /** Processes that hold the clients. */
  readonly workers: number;
  /** Connects under way at the same time in each worker. @default 50 */
  readonly concurrency?: number;
  /** Request headers of a bare client, or about 700 bytes as a browser sends. @default 'bare' */
  readonly headers?: 'bare' | 'browser';
  /** Each client wants `perClient` of `symbols` symbols (see `symbolsOf` in message.ts) and says so in `auth.topics`. */
  readonly topics?: { readonly symbols: number; readonly perClient: number };
  /** Signals that will be published at most; numbers run from 0. */
  readonly signals: number;
  /** Number of the first signal that they are to get: they are counted as having all before it. @default 0 */
  readonly from?: number;
  /**
   * The clients come back with this offset, that of the signal before `from`, as after a lost connection: they connect without
   * waiting for each other's `welcome`, none of their signals is timed, and `lastBackAt` says when the last had caught up.
   */
  readonly offset?: string;
  /** Niceness of the processes, for clients that must not take the processor from others. @default 0 */
  readonly niceness?: number;
  /** A share of the clients reads only this many bytes a second; they come back when they are cut off, as with `reconnect`. */
  readonly slow?: { readonly share: number; readonly bytesPerSecond: number };
  /**
   * A client whose connection ends connects to the next port of the list, with its `pid` and offset, as the stock client
   * does (`storm`). Without it an ended connection is counted as dropped.
   */
  readonly reconnect?: boolean;
  /** Every latency goes to the files `<samples>-<worker>.csv`, as lines `client,n,micros`. */
  readonly samples?: string;
}

/** What a group of clients counted. */
export interface GroupCounts {
  readonly clients: number;
  /** Signals times the clients that want them. */
  readonly expected: number;
  /** Everything that arrived, second copies too. */
  readonly received: number;
  readonly lost: number;
  /** Lost, before the last `begin` too, by clients that are still connected: nobody told them. */
  readonly silent: number;
  readonly twice: number;
  /** Signals that came after a later one. */
  readonly outOfOrder: number;
  /** Connections that ended for good. */
  readonly dropped: number;
  readonly reconnected: number;
  /** Reconnects that the server called recovered (the CONNECT answer has the `pid` the client came with). */
  readonly recovered: number;
}

/** What all clients of a fleet counted since the last `begin`. Latencies in µs from when a signal was due. */
export interface FleetReport extends GroupCounts {
  /** When the last delivery that is timed came, in µs of the monotonic clock; `undefined` if none did. */
  readonly lastAt?: number;
  /**
   * When the last of the clients that reconnected, or came with an `offset`, was back: had everything up to a signal that was due after it had
   * reconnected. In µs of the monotonic clock; `undefined` if none reconnected.
   */
  readonly lastBackAt?: number;
  /** The clients that read slowly; they are in none of the other figures. */
  readonly slow: GroupCounts;
  /** HdrHistogram V2, compressed, base64; slow clients are not in it. */
  readonly latency: string;
  /** Per signal, from the first client that had it to the last. */
  readonly spread: string;
  /** By the second in which a signal was due, from the first that is timed; latencies in ms. */
  readonly timeline: readonly { at: number; p50: number; p99: number; max: number; deliveries: number }[];
  /** Processor time of the busiest worker since the last `begin`, in ms. */
  readonly busiestWorkerMillis: number;
}

/** What a worker is asked for first: the whole plan, and which of its clients are its own. */
export interface WorkerTask {
  readonly kind: 'connect';
  readonly plan: FleetPlan;
  /** From 0; client `i` of the fleet belongs to worker `i % plan.workers`. */
  readonly worker: number;
}

/** What a worker is told. */
export type ToWorker =
  | WorkerTask
  /** Count signals from `base` and time those from `from`, as if nothing had been before. */
  | { readonly kind: 'begin'; readonly base: number; readonly from: number }
  /** Slow clients read as fast as they can from now on. */
  | { readonly kind: 'hasten' }
  /** Tell when all clients have everything below `published`. */
  | { readonly kind: 'await'; readonly published: number }
  | { readonly kind: 'report'; readonly published: number };

/** One worker's part of a {@link FleetReport}, in a form that can be merged. */
export interface WorkerReport {
  readonly counts: GroupCounts;
  readonly slow: GroupCounts;
  /** 0 if none reconnected. */
  readonly lastBackAt: number;
  /** When the first timed signal was due; 0 if there was none. */
  readonly firstDue: number;
  /** Latencies of every second since `firstDue`; HdrHistogram V2, compressed, base64. */
  readonly seconds: readonly string[];
  /** By signal number from `from`: when the first and the last client had it; 0 if none had. */
  readonly first: Float64Array;
  readonly last: Float64Array;
  readonly cpuMillis: number;
}

/** What a worker tells. */
export type FromWorker =
  /** It has loaded and takes a task. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'begun' }
  | { readonly kind: 'connected'; readonly clients: number; readonly all: boolean }
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'settled'; readonly published: number }
  /** Not all is there that is awaited, and some more of it has come. */
  | { readonly kind: 'arriving' }
  | { readonly kind: 'report'; readonly report: WorkerReport };
