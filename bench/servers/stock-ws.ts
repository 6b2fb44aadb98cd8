// Control row: Socket.IO on Node.js's own HTTP server and the package `ws`, with its Redis adapter.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { announce } from './feed.js';
import { serveFeed } from './stock.js';

/** Clients that may wait to be accepted; Node.js's default of 511 is short for thousands that connect at once. */
const BACKLOG = 4096;

const http = createServer();
await serveFeed(new Server(http, { serveClient: false }));
http.listen({ host: '127.0.0.1', port: 0, backlog: BACKLOG });
await once(http, 'listening');
announce((http.address() as AddressInfo).port);
