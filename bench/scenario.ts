import type { ScenarioResult } from './result.js';

/** Servers that can be measured: the gateway and the control rows. */
export const SERVER_NAMES = ['gateway', 'raw', 'stock-uws', 'stock-ws', 'python'] as const;
/** The name of a server that can be measured. */
export type ServerName = (typeof SERVER_NAMES)[number];

/** Settings of a run as the user gave them; a scenario has defaults of its own for what is `undefined`. */
export interface Settings {
  readonly clients?: number;
  readonly pods?: number;
  /** Signals a second. */
  readonly rate?: number;
  /** Seconds that are timed in a run. */
  readonly seconds?: number;
  /** Signals that a server has passed on before it is measured. */
  readonly warmUp?: number;
  /** Bytes of a signal's JSON. */
  readonly payload?: number;
  /** Symbols that exist, and how many of them a client wants. */
  readonly topics?: { readonly symbols: number; readonly perClient: number };
  /** Runs of each server. */
  readonly runs?: number;
  /** Processes that hold the clients. */
  readonly workers?: number;
  /** Servers to run beside the gateway; a scenario leaves out those that can't do it, with a note. */
  readonly against?: readonly ServerName[];
  /** Writes every single latency of every client into this folder. */
  readonly samples?: string;
}

/** How far a scenario is, for the progress bar. */
export interface Progress {
  /** Called once, when it is known how many steps there are. */
  steps(total: number): void;
  /** Called when a step begins, such as `raw, run 2 of 3: connecting 5000 clients`. */
  step(what: string): void;
  /** Called during a step; `share` from 0 to 1. */
  within(share: number, live?: Readonly<Record<string, string | number>>): void;
}

/** A scenario of the bench. */
export interface Scenario {
  readonly name: string;
  /** What it measures, in a line. */
  readonly title: string;
  /** Measures. MUST leave no process behind, also when it throws. */
  run(settings: Settings, progress: Progress): Promise<ScenarioResult>;
}
