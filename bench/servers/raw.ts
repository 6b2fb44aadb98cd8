// The control row: uWebSockets.js alone. It sends the same bytes to the same clients and does nothing else.
import { createRequire } from 'node:module';
import type * as uWebSockets from 'uWebSockets.js';

const uws = createRequire(import.meta.url)('uWebSockets.js') as typeof uWebSockets;
const TOPIC = 'feed';
let seq = 0;

const app = uws.App();
app.ws('/socket.io/', {
  idleTimeout: 0,
  maxBackpressure: 1024 * 1024,
  closeOnBackpressureLimit: true,
  message: (ws) => {
    ws.send('42["welcome",{"message":"raw"},"raw:0"]', false);
    ws.subscribe(TOPIC);
  },
});
app.post('/v1/signals', (res) => {
  let body = Buffer.alloc(0);
  res.onAborted(() => {});
  res.onData((chunk, isLast) => {
    body = Buffer.concat([body, Buffer.from(chunk)]);
    if (!isLast) return;
    const offset = `raw:${++seq}`;
    app.publish(TOPIC, `42["new_signal",${body.toString()},"${offset}"]`, false);
    res.cork(() => {
      res.writeStatus('202 Accepted').writeHeader('Content-Type', 'application/json');
      res.end(JSON.stringify({ offsets: [offset] }));
    });
  });
});
app.listen('127.0.0.1', 0, (token) => {
  if (token === false) throw new Error('no port');
  const port = uws.us_socket_local_port(token);
  console.log(JSON.stringify({ msg: 'serving', port, adminPort: port }));
});
