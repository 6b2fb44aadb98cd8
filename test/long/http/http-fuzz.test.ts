import { afterEach, test } from 'vitest';
import { expectHttpFuzzHarmless } from '../../support/http-storm.js';
import { Cleanup } from '../../support/processes.js';
import { FUZZ_SEED as SEED } from '../../support/random.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const REQUESTS = 20_000;

test(
  `${REQUESTS} fuzzed HTTP requests to both ports (seed ${SEED}) are each answered rightly, harm nobody and leave nothing behind`,
  () => expectHttpFuzzHarmless(cleanup, REQUESTS, SEED),
  180_000,
);
