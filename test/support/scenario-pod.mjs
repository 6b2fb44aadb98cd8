// A gateway as main.ts starts it, with handlers of its own for the tests of what Socket.IO can do for a standard client.
import { createGateway } from '../../dist/gateway.js';

const { app } = createGateway();
const { sio } = app;
/** What sockets saw of their end: [id, event, reason or rooms]. */
const ends = [];

process.on('unhandledRejection', (error) => app.noteFault('promise', error));

function sizeOf(object) {
  return Object.keys(object).length;
}

function serve(socket) {
  const seen = { ...socket.handshake, requestUserAgent: socket.request.headers['user-agent'] };
  const outgoing = [];
  socket.onAnyOutgoing((event) => outgoing.push(event));
  const passed = new Set();
  for (const event of ['packet', 'packetCreate', 'data', 'message', 'drain'])
    socket.conn.on(event, () => passed.add(event));
  socket.on('echo', (...args) => socket.emit('echo', ...args, 0));
  socket.on('ack', (...args) => args.pop()(...args));
  socket.on('ask', async (question, done) => {
    try {
      done(await socket.timeout(500).emitWithAck('question', question));
    } catch (error) {
      done(String(error));
    }
  });
  socket.on('many', (count) => {
    for (let i = 0; i < count; i++) socket.emit('one of many', i);
  });
  socket.on('join', async (room, done) => {
    await socket.join(room);
    done([...socket.rooms]);
  });
  socket.on('leave', async (room, done) => {
    await socket.leave(room);
    done([...socket.rooms]);
  });
  socket.on('to', (room, ...args) => socket.to(room).emit('sent', ...args, 0));
  socket.on('broadcast', (...args) => socket.broadcast.emit('sent', ...args, 0));
  socket.on('everybody', (...args) => socket.nsp.emit('sent', ...args, 0));
  socket.on('except', (room, ...args) => socket.nsp.except(room).emit('sent', ...args, 0));
  socket.on('volatile', (...args) => socket.volatile.emit('sent', ...args, 0));
  socket.on('ask everybody', async (done) => done(await socket.nsp.timeout(2000).emitWithAck('question', 'all')));
  socket.on('ask for every answer', async (done) => {
    try {
      done(await socket.nsp.timeout(500).emitWithAck('question', 'all'));
    } catch (error) {
      done(String(error), error.responses);
    }
  });
  socket.on('flags', (...args) =>
    socket
      .compress(false)
      .volatile.timeout(1000)
      .emit('sent', ...args, 0, () => {}),
  );
  socket.on('send', (...args) => socket.compress(true).send(...args, 0));
  socket.on('what passed', (done) => done([...passed]));
  socket.on('how many', (namespace, done) => done(sio.of(namespace).sockets.size, sio.engine.clientsCount));
  socket.on('kick', (close) => socket.disconnect(close));
  socket.on('kick all', (room) => socket.nsp.in(room).disconnectSockets(true));
  socket.on('move all', (from, to, done) => {
    socket.nsp.in(from).socketsJoin(to);
    void socket.nsp
      .in(to)
      .fetchSockets()
      .then((sockets) => done(sockets.map(({ id }) => id)));
  });
  socket.on('who am I', (done) => {
    const { headers, auth } = socket.handshake;
    const now = { headers: sizeOf(headers), auth: sizeOf(auth), requestHeaders: sizeOf(socket.request.headers) };
    const transport = socket.conn.transport.name;
    done({ id: socket.id, transport, protocol: socket.conn.protocol, peer: socket.conn.remoteAddress, seen, now });
  });
  socket.on('what was sent', (done) => done(outgoing));
  socket.on('how did it end', (id, done) => done(ends.filter(([of]) => of === id).map(([, ...rest]) => rest)));
  socket.use(([event], next) => next(event === 'forbidden' ? new Error('not this one') : undefined));
  socket.on('error', (error) => socket.emit('told', error.message, 0));
  socket.on('disconnecting', (reason) => ends.push([socket.id, 'disconnecting', reason, socket.rooms.has('a room')]));
  socket.on('disconnect', (reason) => ends.push([socket.id, 'disconnect', reason, socket.rooms.size > 0]));
}

sio.use((socket, next) => {
  if (socket.handshake.auth.refuse) next(Object.assign(new Error('refused'), { data: { why: 'you asked for it' } }));
  // Later than the CONNECT packet's own turn of the loop.
  else if (socket.handshake.auth.slow) setTimeout(() => next(), 50);
  else next();
});
sio.on('connection', serve);
sio.of('/second').on('connection', serve);
sio
  .of('/guarded')
  .use((socket, next) => next(socket.handshake.auth.token === 'right' ? undefined : new Error('wrong token')))
  .use((socket, next) => setTimeout(() => next(), socket.handshake.auth.slow ? 100 : 0));
sio.of('/guarded').on('connection', serve);
sio.of(/^\/dynamic-\d+$/).on('connection', serve);

await app.start();
