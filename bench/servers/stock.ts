// What the two stock rows share: Socket.IO as its guides show it, with nothing of the gateway.
import { createAdapter } from '@socket.io/redis-adapter';
import type { Server } from 'socket.io';
import { WELCOME, connectRedis, nextOffset, offset, subscribe, topicsOf } from './feed.js';

/** Gives a server its Redis adapter and the feed; resolves when signals flow. */
export async function serveFeed(io: Server): Promise<void> {
  io.adapter(createAdapter(connectRedis(), connectRedis()));
  io.on('connection', (socket) => {
    const { topics = ['*'] } = socket.handshake.auth as { topics?: string[] };
    void socket.join(topics);
    socket.emit('welcome', WELCOME, offset());
  });
  const { rooms } = io.of('/').adapter;
  await subscribe((json) => {
    const signal = JSON.parse(json) as { symbol: string; timeframe: string };
    const place = nextOffset();
    // Room by room: with one room at a time Socket.IO uses uWebSockets.js's own publish. Every process hears every signal,
    // so what each emits stays local.
    for (const topic of topicsOf(signal)) {
      if (rooms.has(topic)) io.local.to(topic).emit('new_signal', signal, place);
    }
  });
}
