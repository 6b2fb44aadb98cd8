import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import type * as uWebSockets from 'uWebSockets.js';

/**
 * Control row: Socket.IO attached to uWebSockets.js, a subscription to the channel `straight`, and a local emit. No journal,
 * no checks, nothing of the gateway.
 */
const uws = createRequire(import.meta.url)('uWebSockets.js') as typeof uWebSockets;
const app = uws.App();
const io = new Server();
io.attachApp(app);
const redis = new Redis(process.env['REDIS_URL'] ?? '');
redis.on('message', (_channel, message) => io.local.emit('new_signal', JSON.parse(message)));
await redis.subscribe('straight');
app.listen('127.0.0.1', 0, (token) => {
  if (token === false) throw new Error('no port to listen on');
  console.log(JSON.stringify({ msg: 'serving', port: uws.us_socket_local_port(token), adminPort: 0 }));
});
