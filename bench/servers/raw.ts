/**
 * Control row: uWebSockets.js alone. It sends the same bytes to the same clients, and the same heartbeats, and knows
 * nothing of sessions, checks or a journal: what it costs nobody can save.
 *
 * With REDIS_URL signals come from Redis, and what is posted goes there first; without it what is posted goes straight
 * to the clients.
 */
import type { HttpResponse, WebSocket } from 'uWebSockets.js';
import { listen } from '../../src/http/listener.js';
import { loadUws } from '../../src/http/uws.js';
import { CHANNEL, WELCOME, announce, connectRedis, nextOffset, offset, subscribe, topicsOf } from './feed.js';

/** Engine.IO's defaults, which the other rows have. */
const PING_INTERVAL_MS = 25_000;
const PING_TIMEOUT_MS = 20_000;
/** No topic of a signal is empty. */
const EVERYBODY = '';

const uws = loadUws();
const app = uws.App();
let clients = 0;

/** Answers the packet with which a client of Socket.IO connects: `40`, or `40{"topics":[…]}`. */
function onConnect(ws: WebSocket<unknown>, auth: string): void {
  const { topics } = (auth === '' ? {} : JSON.parse(auth)) as { topics?: string[] };
  ws.send(`40{"sid":"raw-${++clients}"}`, false);
  ws.send(`42["welcome",${JSON.stringify(WELCOME)},"${offset()}"]`, false);
  for (const topic of topics ?? ['*']) ws.subscribe(topic);
}

function deliver(json: string): void {
  // Bytes once for all topics, as in the gateway.
  const frame = Buffer.from(`42["new_signal",${json},"${nextOffset()}"]`);
  for (const topic of topicsOf(JSON.parse(json) as { symbol: string; timeframe: string })) {
    app.publish(topic, frame, false);
  }
}

/** Calls back with the body of a request once it is whole. */
function readBody(res: HttpResponse, onBody: (body: string) => void): void {
  let body = Buffer.alloc(0);
  res.onData((chunk, isLast) => {
    body = Buffer.concat([body, Buffer.from(chunk)]);
    if (isLast) onBody(body.toString());
  });
}

app.ws('/socket.io/', {
  idleTimeout: 0,
  maxBackpressure: 1024 * 1024,
  closeOnBackpressureLimit: true,
  open: (ws) => {
    ws.subscribe(EVERYBODY);
    const session = { upgrades: [], pingInterval: PING_INTERVAL_MS, pingTimeout: PING_TIMEOUT_MS, maxPayload: 16_384 };
    ws.send(`0${JSON.stringify({ sid: `raw-${clients}`, ...session })}`, false);
  },
  message: (ws, message) => {
    const text = Buffer.from(message).toString();
    if (text.startsWith('40')) onConnect(ws, text.slice(2));
  },
});
app.get('/healthz', (res) => {
  res.writeHeader('Content-Type', 'application/json').end('{"status":"ok"}');
});
const producer = process.env['REDIS_URL'] === undefined ? undefined : connectRedis();
app.post('/v1/signals', (res) => {
  let open = true;
  res.onAborted(() => (open = false));
  const answer = (): void => {
    if (!open) return;
    res.cork(() => {
      res.writeStatus('202 Accepted').writeHeader('Content-Type', 'application/json');
      res.end(JSON.stringify({ offsets: [offset()] }));
    });
  };
  readBody(res, (json) => {
    if (producer === undefined) {
      deliver(json);
      answer();
    } else {
      void producer.publish(CHANNEL, json).then(answer);
    }
  });
});
if (producer !== undefined) await subscribe(deliver);
setInterval(() => app.publish(EVERYBODY, '2', false), PING_INTERVAL_MS);
const { port } = await listen(uws, app, { host: '127.0.0.1', port: 0, role: 'PORT' });
announce(port, port);
