// A gateway as main.ts starts it, with handlers of its own that fail when their client asks for it.
import { App } from '../../dist/app.js';
import { loadConfig } from '../../dist/config.js';
import { createLogger, podName } from '../../dist/log.js';
import { loadUws } from '../../dist/uws.js';

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
