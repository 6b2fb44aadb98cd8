import { afterEach, test } from 'vitest';
import { expectFramesHarmless, expectPostsHarmless } from '../support/packet-storm.js';
import { Cleanup } from '../support/processes.js';
import { FUZZ_SEED as SEED } from '../support/random.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

// test/long/websocket/fuzz.test.ts does the same with 100,000.
test(
  `5,400 random and mutated packets over WebSocket (seed ${SEED}) neither end the process nor stay in its memory`,
  () => expectFramesHarmless(cleanup, 5400, SEED),
  120_000,
);

test(
  `1,000 random and mutated packets over long-polling (seed ${SEED}) do not end the process`,
  () => expectPostsHarmless(cleanup, 1000, SEED),
  120_000,
);
