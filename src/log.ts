import { hostname } from 'node:os';
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from './config.js';

/** A name for this process that no other pod has: in Kubernetes the pod's name and the process id. */
export function podName(): string {
  return `${hostname()}-${process.pid}`;
}

/** Errors of ioredis carry the command that failed, which may be the one with the password. */
const SECRETS = { paths: ['err.command', 'err.previousErrors', 'err.lastNodeError'], remove: true };

/** JSON lines on standard output; colours and short lines when that is a terminal. Every line names the pod. */
export function createLogger(level: Config['logLevel'], pod: string): Logger {
  const options = { level, base: { pod }, timestamp: pino.stdTimeFunctions.isoTime, redact: SECRETS };
  return process.stdout.isTTY ? pino(options, pretty({ sync: true, ignore: 'pod' })) : pino(options);
}
