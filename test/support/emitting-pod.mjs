// A gateway as main.ts starts it, which also does with its Socket.IO server what the parent process asks for.
//
// It gets { id, steps: [[method, ...args], ...] }: the methods are called one on the result of the other, beginning with
// the server. It answers { id, result } or { id, error }. Server-side events named "question" are acknowledged with the
// pod's name.
import { createGateway } from '../../dist/gateway.js';

const { app, pod } = createGateway();

process.on('unhandledRejection', (error) => app.noteFault('promise', error));
app.sio.on('question', (...args) => args.at(-1)(pod));

async function perform(steps) {
  let value = app.sio;
  for (const [method, ...args] of steps) value = await value[method](...args);
  // Of sockets, only what can be sent; of operators, nothing.
  if (Array.isArray(value)) return value.map((item) => (typeof item === 'object' ? item.id : item));
  return typeof value === 'object' ? undefined : value;
}

process.on('message', ({ id, steps }) => {
  perform(steps).then(
    (result) => process.send({ id, result }),
    (error) => process.send({ id, error: String(error) }),
  );
});

await app.start();
