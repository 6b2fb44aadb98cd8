// Loaded into a server under test (`node --import`): tells the bench over IPC how much memory the server uses and how
// late its loop is. Plain JavaScript, so that the built gateway needs no loader.
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** A timer as often as this costs about 0.2 % of a core; a loop that is blocked shows at the next one. */
const RESOLUTION_MS = 5;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

process.on('message', (message) => {
  if (message === 'reset') {
    delay.reset();
    process.send({ kind: 'reset' });
  } else if (message === 'probe') {
    // Read first: the collection below holds the loop up by itself.
    const late = delay.percentile(99.9) / 1e6 - RESOLUTION_MS;
    const latest = delay.max / 1e6 - RESOLUTION_MS;
    // The second one takes what finalizers of the first let go of.
    globalThis.gc();
    globalThis.gc();
    const { heapUsed, rss } = process.memoryUsage();
    const delays = { loopDelayP999: Math.max(0, late), loopDelayMax: Math.max(0, latest) };
    process.send({ kind: 'probe', heapUsed, rss, ...(delay.count > 0 ? delays : {}) });
  }
});
// A bench that was killed leaves no server behind.
process.on('disconnect', () => process.exit(0));
// The listener above must not keep a server alive that has nothing else to do.
process.channel?.unref();
