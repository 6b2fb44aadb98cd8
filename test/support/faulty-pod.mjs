// A gateway as main.ts starts it, with handlers of its own that fail when their client asks for it.
import { App } from '../../dist/app/app.js';
import { loadConfig } from '../../dist/config/config.js';
import { createLogger, podName } from '../../dist/app/logger.js';
import { loadUws } from '../../dist/http/uws.js';

const config = loadConfig(process.env);
const pod = podName();
const log = createLogger(config.logLevel, pod);
const app = new App(config, loadUws(config.maxHeaderBytes), log, pod);

app.sio.on('connection', (socket) => {
  const { fails = [] } = socket.handshake.auth;
  const failAt = (event) => {
    if (fails.includes(event)) throw new Error(`failed at ${event}`);
  };
  for (const event of ['disconnecting', 'disconnect', 'event']) socket.on(event, () => failAt(event));
  socket.on('ask', () => socket.emit('question', () => failAt('answer')));
  failAt('connection');
});

await app.start();
