// A stock Socket.IO application with the stock Redis adapter, such as may share a Redis with gateways; its server does what the
// parent process asks for. With FORMER_HEAD it answers as a gateway of version 0.1 does whose journal is at this offset.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { answerCalls } from './answer-calls.mjs';

const { REDIS_URL, HOST, FORMER_HEAD, KEY = 'socket.io' } = process.env;
const publisher = new Redis(REDIS_URL);
const http = createServer();
const subscriber = publisher.duplicate();
const adapter = createAdapter(publisher, subscriber, { key: KEY, publishOnSpecificResponseChannel: true });
const io = new Server(http, { adapter });
if (FORMER_HEAD !== undefined) {
  io.on('gateway:info', (answer) => answer({ pod: 'former', head: FORMER_HEAD }));
  io.on('gateway:disconnect', ({ sid }, answer) => answer(sid === FORMER_HEAD ? 1 : 0));
}
answerCalls(io);

// In its turn after what the adapter subscribes to.
await subscriber.ping();
http.listen(0, HOST, () => process.send({ port: http.address().port }));
