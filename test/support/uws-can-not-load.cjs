'use strict';
// Loaded with `node --require`: the binary of uWebSockets.js is there, but the dynamic linker refuses it, as on a system
// with an older C library.
const dlopen = process.dlopen.bind(process);
process.dlopen = function (target, filename, ...rest) {
  if (!/uws[^/\\]*\.node$/.test(filename)) return dlopen(target, filename, ...rest);
  throw new Error(`/lib/x86_64-linux-gnu/libc.so.6: version \`GLIBC_2.99' not found (required by ${filename})`);
};
