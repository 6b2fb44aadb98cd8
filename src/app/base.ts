import type { Logger } from 'pino';
import { MemoryPressure } from '../access/memory-pressure.js';
import { OriginPolicy } from '../access/origin-policy.js';
import { RefusalLog } from '../access/refusal-log.js';
import { Metrics } from '../admin/metrics.js';
import type { Config } from '../config/config.js';
import { ErrorBoundary } from '../http/error-boundary.js';
import { type Uws, uwsVersion } from '../http/uws.js';
import { version } from '../version.js';
import { faultObserver } from './observers.js';

/** What an app is built from. */
export interface AppOptions {
  readonly config: Config;
  readonly uws: Uws;
  readonly log: Logger;
  /** A name that no other process has. */
  readonly pod: string;
}

/** What an app is built from, and the parts that most other parts need. */
export interface Base extends AppOptions {
  readonly metrics: Metrics;
  readonly boundary: ErrorBoundary;
  readonly refusals: RefusalLog;
  readonly origins: OriginPolicy;
  readonly memory: MemoryPressure;
}

/** Builds the parts that depend on no other part. */
export function buildBase(options: AppOptions): Base {
  const { config, log } = options;
  const metrics = new Metrics({ version: version(), uws: uwsVersion() });
  return {
    ...options,
    metrics,
    boundary: new ErrorBoundary(faultObserver(log, metrics)),
    refusals: new RefusalLog(log),
    origins: new OriginPolicy(config.corsOrigins),
    memory: new MemoryPressure(config.limits.maxMemoryPercent, config.limits.memoryLimitBytes),
  };
}
