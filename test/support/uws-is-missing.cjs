'use strict';
// Loaded with `node --require`: there is no binary of uWebSockets.js for this Node.js, as after an upgrade of Node.js
// without a new install.
const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  return resolve.call(this, request.startsWith('@uwsjs/') ? `${request}.missing` : request, ...rest);
};
