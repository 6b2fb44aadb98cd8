// Control row: Socket.IO attached to uWebSockets.js, with its Redis adapter.
import { Server } from 'socket.io';
import { listen } from '../../src/http/listener.js';
import { loadUws } from '../../src/http/uws.js';
import { announce } from './feed.js';
import { serveFeed } from './stock.js';

const uws = loadUws();
const app = uws.App();
const io = new Server({ serveClient: false });
io.attachApp(app);
await serveFeed(io);
announce((await listen(uws, app, { host: '127.0.0.1', port: 0, role: 'PORT' })).port);
