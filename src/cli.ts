#!/usr/bin/env node
import { program } from './cli/program.js';
import { run } from './cli/run.js';

await run(program(), process.argv);
