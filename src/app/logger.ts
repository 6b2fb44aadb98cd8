import { hostname } from 'node:os';
import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from '../config/config.js';

/** A name for this process that no other pod has: in Kubernetes the pod's name and the process id. */
export function podName(): string {
  return `${hostname()}-${process.pid}`;
}

/** Errors of ioredis carry the command that failed, which may be the one with the password. */
const SECRETS = { paths: ['err.command', 'err.previousErrors', 'err.lastNodeError'], remove: true };

let timeAtMs = 0;
let time = '';

/** The time as a field of a log line; made once a millisecond, since thousands of clients may connect at once. */
function timestamp(): string {
  const now = Date.now();
  if (now !== timeAtMs) {
    timeAtMs = now;
    time = `,"time":"${new Date(now).toISOString()}"`;
  }
  return time;
}

/** Lines that nobody reads from standard output wait up to this size; beyond it they are dropped. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Writes JSON lines on standard output; on a terminal, short lines in colours. Every JSON line names the pod. */
export function createLogger(level: Config['logLevel'], pod: string): Logger {
  const options = { level, base: { pod }, timestamp, redact: SECRETS };
  if (process.stdout.isTTY) return pino(options, pretty({ sync: true, ignore: 'pod' }));
  // Written in the background: a slow reader of the pipe does not block the event loop.
  return pino(options, gathered(pino.destination({ dest: 1, sync: false, maxLength: MAX_WAITING_BYTES })));
}

/** Lines wait this long for others. */
const GATHER_MS = 10;

/**
 * Writes what is logged within a moment in one piece. A write costs many times what a line costs, and the destination
 * measures everything that waits again for each line: at thousands of connects a second both would be most of the cost of
 * the log. The rest is written when the process exits.
 */
function gathered(destination: ReturnType<typeof pino.destination>): DestinationStream {
  let lines: string[] = [];
  const writeOut = (): void => {
    if (lines.length === 0) return;
    const text = lines.join('');
    lines = [];
    destination.write(text);
  };
  let isFailing = false;
  destination.on('error', (error: Error) => {
    // A full disk: the gateway carries on without a log. Lines are dropped until the log can be written again.
    if (!isFailing)
      process.stderr.write(`Cannot write the log: ${error.message}. Lines are lost until it can be written.\n`);
    isFailing = true;
  });
  destination.on('write', () => {
    isFailing = false;
  });
  // Before the destination writes the rest itself, which it would try for ever.
  process.prependListener('exit', () => {
    if (isFailing) destination.destroy();
    else writeOut();
  });
  return {
    write: (line) => {
      if (lines.push(line) === 1) setTimeout(writeOut, GATHER_MS).unref();
    },
  };
}
