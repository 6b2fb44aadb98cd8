/** What a fleet of clients is asked for and what it tells; the messages between the bench and its worker processes. */

/** How the clients of a fleet connect and behave. */
export interface FleetPlan {
  /** Public ports of the pods; clients are spread over them in turn. */
  readonly ports: readonly number[];
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
  /** A share of the clients reads only this many bytes a second. */
  readonly slow?: { readonly share: number; readonly bytesPerSecond: number };
  /**
   * A client whose connection ends connects to the next port of the list, with its `pid` and offset, as the stock client
   * does (`storm`). Without it an ended connection is counted as dropped.
   */
  readonly reconnect?: boolean;
  /** File that gets every latency (`client,n,micros`), one a worker. */
  readonly samples?: string;
}

/** What all clients of a fleet counted since the last `begin`. Latencies in µs from when a signal was due. */
export interface FleetReport {
  readonly expected: number;
  readonly received: number;
  readonly lost: number;
  readonly twice: number;
  readonly outOfOrder: number;
  readonly dropped: number;
  readonly reconnected: number;
  /** Reconnects that the server called recovered (the CONNECT answer has the `pid` the client came with). */
  readonly recovered: number;
  /** HdrHistogram V2, compressed, base64; slow clients are not in it. */
  readonly latency: string;
  /** Per signal, from the first client that had it to the last. */
  readonly spread: string;
  readonly timeline: readonly { at: number; p50: number; p99: number; max: number; deliveries: number }[];
  /** Processor time of the busiest worker, in ms. */
  readonly busiestWorkerMillis: number;
}
