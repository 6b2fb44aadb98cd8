#!/usr/bin/env node
import { App } from './app.js';
import { banner } from './banner.js';
import { loadConfig } from './config.js';
import { EXIT, StartError, messageOf } from './errors.js';
import { createLogger, podName } from './log.js';
import { loadUws } from './uws.js';

const KILLED_BY_SIGNAL = 128;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const pod = podName();
  const log = createLogger(config.logLevel, pod);
  const app = new App(config, loadUws(), log, pod);

  process.on('unhandledRejection', (error) => {
    // One stray promise of a dependency is no reason to drop every client.
    app.noteFault();
    log.error({ err: error }, 'a promise was rejected and nobody handled it');
  });
  let stopping = false;
  let hurried = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (hurried) process.exit(KILLED_BY_SIGNAL + SIGNAL_NUMBERS[signal]);
      // Whoever types Ctrl-C sits there and waits; an orchestrator sends SIGTERM and has clients to keep.
      hurried = stopping || signal === 'SIGINT';
      log.info({ signal }, stopping ? 'stopping at once' : 'stopping');
      if (hurried) app.hurry();
      if (stopping) return;
      stopping = true;
      void app.stop().finally(() => process.exit(EXIT.ok));
    });
  }

  const facts = await app.start();
  // Standard output is for log lines unless somebody is looking at it.
  (process.stdout.isTTY ? process.stdout : process.stderr).write(banner(facts));
}

main().catch((error: unknown) => {
  process.stderr.write(
    error instanceof StartError ? `${error.message}\n` : `The gateway failed to start: ${messageOf(error)}\n`,
  );
  process.exit(error instanceof StartError ? error.exitCode : EXIT.failed);
});
