// Loaded first into every Node.js process of `npm run coverage`, see .ci/coverage.mjs.
const { argv, env, pid } = process;
const { takeCoverage } = require('node:v8');

if (env.NODE_V8_COVERAGE) {
  // Node.js writes what a process ran when that ends, and SIGKILL leaves it no time: the tests send this signal in its place.
  // The process does nothing more in between.
  process.on('SIGALRM', () => {
    takeCoverage();
    process.kill(pid, 'SIGKILL');
  });
} else if (argv[1]?.includes('/vitest/dist/workers/')) {
  // Vitest counts its own processes itself; this is for the children of a test.
  env.NODE_V8_COVERAGE = env.CHILD_COVERAGE_DIR;
}
