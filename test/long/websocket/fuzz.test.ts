import { afterEach, test } from 'vitest';
import { expectFramesHarmless, expectPostsHarmless } from '../../support/packet-storm.js';
import { Cleanup } from '../../support/processes.js';
import { FUZZ_SEED as SEED } from '../../support/random.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test(
  `90,000 random and mutated packets over WebSocket (seed ${SEED}) neither end the process nor stay in its memory`,
  () => expectFramesHarmless(cleanup, 90_000, SEED),
  120_000,
);

test(
  `10,000 random and mutated packets over long-polling (seed ${SEED}) do not end the process`,
  () => expectPostsHarmless(cleanup, 10_000, SEED),
  120_000,
);
