import type { WebSocket } from 'uWebSockets.js';
import { signalText } from '../../../bench/load/message.js';
import { type Listener, listen } from '../../../src/http/listener.js';
import { loadUws } from '../../../src/http/uws.js';
import { HOST } from '../../support/processes.js';

/** What a client sends as `auth`. */
export interface Auth {
  readonly topics?: string[];
  readonly pid?: string;
  readonly offset?: string;
}

/** One connection. */
export interface Connection {
  readonly ws: WebSocket<Connection>;
  /** Bytes of the request's headers. */
  readonly headerBytes: number;
  /** Address of the client. */
  readonly from: string;
  auth: Auth;
  /** Everything it sent after it connected. */
  readonly said: string[];
  pongs: number;
  open: boolean;
  /** Whether it has sent CONNECT: before that a client gets nothing, or what it gets again as missed would come twice. */
  joined: boolean;
}

/** What makes a server different from a good one. */
export interface Behaviour {
  /** Answers the CONNECT packet; by default `40{…}` with a new `pid` and a `welcome`. */
  readonly onConnect?: (connection: Connection, server: FeedServer) => void;
}

/**
 * A tiny real server for tests of the load generator: it speaks Engine.IO and Socket.IO over WebSocket and sends what the
 * test tells it to, so that everything the clients must notice can be made to happen.
 */
export class FeedServer {
  readonly connections: Connection[] = [];
  readonly port: number;
  readonly #listener: Listener;
  readonly #close: () => void;
  #pids = 0;

  private constructor(listener: Listener, close: () => void) {
    this.#listener = listener;
    this.port = listener.port;
    this.#close = close;
  }

  /** Starts one on a free port. */
  static async start({ onConnect }: Behaviour = {}): Promise<FeedServer> {
    const uws = loadUws();
    const app = uws.App();
    let server: FeedServer | undefined;
    app.ws<Connection>('/socket.io/', {
      idleTimeout: 0,
      maxBackpressure: 64 * 1024 * 1024,
      upgrade: (res, req, context) => {
        let headerBytes = 0;
        req.forEach((name, value) => (headerBytes += name.length + value.length + 4));
        const connection = { headerBytes, from: '', auth: {}, said: [], pongs: 0, open: true, joined: false };
        const key = req.getHeader('sec-websocket-key');
        res.upgrade(connection as unknown as Connection, key, req.getHeader('sec-websocket-protocol'), '', context);
      },
      open: (ws) => {
        const connection = ws.getUserData();
        Object.assign(connection, { ws, from: Buffer.from(ws.getRemoteAddressAsText()).toString() });
        server?.connections.push(connection);
        ws.send('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
      },
      message: (ws, message) => {
        const text = Buffer.from(message).toString();
        const connection = ws.getUserData();
        if (!text.startsWith('40')) {
          connection.said.push(text);
          return;
        }
        connection.auth = JSON.parse(text.slice(2) || '{}') as Auth;
        connection.joined = true;
        if (server !== undefined) (onConnect ?? welcome)(connection, server);
      },
      pong: (ws) => void ws.getUserData().pongs++,
      close: (ws) => void (ws.getUserData().open = false),
    });
    const listener = await listen(uws, app, { host: HOST, port: 0, role: 'PORT' });
    server = new FeedServer(listener, () => app.close());
    return server;
  }

  /** A `pid` that no other connection has. */
  newPid(): string {
    return `pid-${this.port}-${++this.#pids}`;
  }

  /** Sends one signal to some connections, or to all. */
  send(n: number, dueMicros: number, to: readonly Connection[] = this.connections): void {
    for (const { ws, open, joined } of to) {
      if (open && joined) ws.send(`42["new_signal",${signalText(n, dueMicros)},"epoch:${n}"]`);
    }
  }

  /** Takes no more connections; those that exist live on. */
  refuse(): void {
    this.#listener.close();
  }

  /** Closes everything. */
  stop(): void {
    this.#listener.close();
    this.#close();
  }
}

/** What a good server answers to the CONNECT packet. */
export function welcome({ ws }: Connection, server: FeedServer): void {
  ws.send(`40{"sid":"s","pid":"${server.newPid()}"}`);
  ws.send('42["welcome",{"message":"hello"},"epoch:0"]');
}
