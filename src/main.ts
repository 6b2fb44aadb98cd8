#!/usr/bin/env node
import { run } from './cli/run.js';
import { startProgram } from './cli/start.js';

// What containers run: the gateway alone, without the other commands of `cli.ts`.
await run(startProgram(), process.argv);
