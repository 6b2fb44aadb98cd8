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

let timeAt = 0;
let time = '';

/** The time as a field of a line; made once a millisecond, as thousands of clients come at once. */
function timestamp(): string {
  const now = Date.now();
  if (now !== timeAt) {
    timeAt = now;
    time = `,"time":"${new Date(now).toISOString()}"`;
  }
  return time;
}

/** Lines that nobody takes off standard output wait up to this size; beyond it they are dropped. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** JSON lines on standard output; colours and short lines when that is a terminal. Every line names the pod. */
export function createLogger(level: Config['logLevel'], pod: string): Logger {
  const options = { level, base: { pod }, timestamp, redact: SECRETS };
  if (process.stdout.isTTY) return pino(options, pretty({ sync: true, ignore: 'pod' }));
  // Written in the background, many lines at once when many come: a line costs less, and a pipe whose reader is slow does
  // not hold up the loop. What is left is written when the process exits.
  return pino(options, pino.destination({ dest: 1, sync: false, maxLength: MAX_WAITING_BYTES }));
}
