'use strict';
// Loaded with `node --require`: a release of engine.io that has given another name to a private method of its server.
const { uServer } = require('engine.io');
uServer.prototype.prepareRequest = uServer.prototype.prepare;
delete uServer.prototype.prepare;
