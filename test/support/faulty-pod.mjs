// A gateway as main.ts starts it, with handlers of its own that fail when their client asks for it.
import { createGateway } from '../../dist/gateway.js';

const { app } = createGateway();

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
