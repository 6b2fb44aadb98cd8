// Control for `ingest`: Socket.IO attached to uWebSockets.js, a subscription, and a local emit. No journal, no checks,
// nothing of the gateway.
import { Server } from 'socket.io';
import { listen } from '../../src/http/listener.js';
import { loadUws } from '../../src/http/uws.js';
import { announce, nextOffset, subscribe } from './feed.js';

const uws = loadUws();
const app = uws.App();
const io = new Server({ serveClient: false });
io.attachApp(app);
await subscribe((json) => io.local.emit('new_signal', JSON.parse(json), nextOffset()));
announce((await listen(uws, app, { host: '127.0.0.1', port: 0, role: 'PORT' })).port);
