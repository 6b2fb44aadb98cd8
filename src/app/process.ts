import type { Logger } from 'pino';
import { App } from './app.js';
import { banner } from './banner.js';
import { type Config, loadConfig } from '../config/config.js';
import { DemoFeed, checkDemoAccess } from '../demo/feed.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { createLogger, podName } from './logger.js';
import { loadUws } from '../http/uws.js';
import { checkInternals } from '../websocket/check-internals.js';

const KILLED_BY_SIGNAL = 128;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

/** What a process is given beside its environment. */
export interface GatewayProcessOptions {
  /** Made-up signals a second. Unset: none. */
  readonly demoRate?: number | undefined;
}

/** A gateway and what it was made with. */
export interface Gateway {
  readonly app: App;
  readonly log: Logger;
  /** A name that no other process has. */
  readonly pod: string;
}

/**
 * Builds the gateway of this process, which does not listen yet.
 *
 * @throws {@link StartError} when uWebSockets.js cannot load, or a dependency lacks what is used of it
 */
export function createGateway(config: Config = loadConfig(process.env)): Gateway {
  const pod = podName();
  const log = createLogger(config.logLevel, pod);
  const uws = loadUws(config.maxHeaderBytes);
  checkInternals(uws);
  return { app: new App({ config, uws, log, pod }), log, pod };
}

/**
 * Runs the gateway in this process until a signal ends it. Resolves when it serves.
 *
 * @throws {@link StartError} when it cannot start; the caller ends the process
 */
export async function runGateway({ demoRate }: GatewayProcessOptions = {}): Promise<void> {
  const config = loadConfig(process.env);
  if (demoRate !== undefined) await checkDemoAccess(config.adminHost, config.apiKeys[0]);
  const { app, log } = createGateway(config);
  let demo: DemoFeed | undefined;

  // One stray promise of a dependency is no reason to disconnect every client.
  process.on('unhandledRejection', (error) => app.noteFault('promise', error));
  process.on('uncaughtException', (error) => {
    // Its state may be half changed: clients are better off on another pod.
    log.fatal({ err: error, recentRequests: app.recentRequests() }, 'uncaught exception; the process ends');
    process.exit(EXIT.failed);
  });
  let stopping = false;
  let hurried = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (hurried) process.exit(KILLED_BY_SIGNAL + SIGNAL_NUMBERS[signal]);
      // Whoever types Ctrl-C is waiting; an orchestrator sends SIGTERM and has clients to keep.
      hurried = stopping || signal === 'SIGINT';
      log.info({ signal }, stopping ? 'stopping at once' : 'stopping');
      if (hurried) app.hurry();
      if (stopping) return;
      stopping = true;
      demo?.stop();
      void app.stop().finally(() => process.exit(EXIT.ok));
    });
  }

  try {
    const facts = await app.start();
    // Standard output is for log lines unless a person is reading it.
    (process.stdout.isTTY ? process.stdout : process.stderr).write(banner(facts));
    if (demoRate === undefined || stopping) return;
    demo = new DemoFeed({ ...facts, apiKey: config.apiKeys[0], ratePerSecond: demoRate, log });
    demo.start();
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`The gateway failed to start: ${messageOf(error)}`, EXIT.failed);
  }
}
