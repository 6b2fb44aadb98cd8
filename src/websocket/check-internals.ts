import { EventEmitter } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Socket as EngineSocket, Transport, uServer } from 'engine.io';
import { Server, Socket } from 'socket.io';
import { EXIT, StartError, messageOf } from '../errors.js';
import type { Uws } from '../http/uws.js';
import { type ByOwner, INTERNALS, type Kind, type Package } from './engine/internals.js';

type Members = Record<string, unknown>;

/** Sends nothing. */
class SampleTransport extends Transport {
  constructor() {
    super({ _query: { EIO: '4' } });
  }

  override get name(): 'polling' {
    return 'polling';
  }

  override send(): void {}

  override doClose(done?: () => void): void {
    done?.();
  }
}

/** What `uServer` makes of a request, here of one that it refuses. */
function sampleRequest(): Members {
  const req = { getMethod: () => 'get', getUrl: () => '/', getQuery: () => 'EIO=4', forEach: () => {} };
  const res = {
    getRemoteAddressAsText: () => new ArrayBuffer(0),
    onAborted: () => {},
    writeStatus: () => {},
    writeHeader: () => {},
    end: () => {},
  };
  let refused: Members = {};
  const server = new uServer();
  server.on('connection_error', (error: { req: Members }) => (refused = error.req));
  server.attach({
    any: (_path: string, handler: (response: object, request: object) => void) => {
      handler(res, req);
      return { ws: () => {} };
    },
  });
  return refused;
}

/** The handlers that `uServer` registers for WebSockets. */
function sampleRoute(): { open?(ws: object): void } {
  let route = {};
  const app = { any: () => ({ ws: (_path: string, handlers: object) => (route = handlers) }) };
  new uServer().attach(app);
  return route;
}

/** A socket of engine.io's that was never open to anybody. */
function sampleEngineSocket(onSocket = (_socket: EngineSocket): void => {}): EngineSocket {
  const socket = new EngineSocket('id', new uServer(), new SampleTransport(), sampleRequest() as never, 4);
  try {
    onSocket(socket);
  } finally {
    // It has timers.
    socket.close(true);
  }
  return socket;
}

/** The events of a socket whose client tries out another transport. */
function sampleEngineEvents(): Members {
  const events: Members = {};
  sampleEngineSocket((socket) => {
    const next = new SampleTransport();
    socket.on('upgrading', (transport: unknown) => (events['upgrading'] = transport));
    socket._maybeUpgrade(next);
    next.emit('packet', { type: 'ping', data: 'probe' });
  });
  return events;
}

/** A transport of engine.io's for which a WebSocket was opened. */
function sampleWebSocketTransport(): object {
  const server = new uServer() as unknown as { createTransport(name: string, req: object): object };
  const transport = server.createTransport('websocket', sampleRequest());
  sampleRoute().open?.({ getUserData: () => ({ transport }) });
  return transport;
}

/** The client that Socket.IO's server makes for a connection, as it hands it to a namespace. */
function sampleClient(): object {
  const made: { client?: object } = {};
  class SampleServer extends Server {
    override of(...args: Parameters<Server['of']>): ReturnType<Server['of']> {
      const namespace = super.of(...args);
      return Object.create(namespace, {
        _add: { value: (client: object) => (made.client = client) },
      }) as typeof namespace;
    }
  }
  const connections = new EventEmitter();
  new SampleServer().bind(connections);
  const conn = Object.assign(new EventEmitter(), {
    id: 'id',
    protocol: 4,
    request: { headers: {}, connection: {} },
    close: () => {},
  });
  connections.emit('connection', conn);
  // CONNECT to the root namespace.
  conn.emit('data', '0');
  conn.emit('close');
  return made.client ?? {};
}

/** A socket of Socket.IO's that is given a session. */
function sampleSocket(): object {
  const session = { sid: 'sid', pid: 'pid', rooms: [], missedPackets: [], data: {} };
  return new Socket(new Server().of('/'), sampleClient() as never, {}, session);
}

function sampleRooms(): object {
  const { adapter } = new Server().of('/');
  const rooms: Iterable<string> = ['room'];
  void adapter.addAll('id', rooms as Set<string>);
  return adapter.socketRooms('id')?.has('room') === true ? { room: true } : {};
}

/** How to make an instance of each owner to look at: members that a constructor makes are seen in no prototype. */
export function samples(uws: Uws): ByOwner<() => object> {
  return {
    'engine.io': {
      uServer: () => new uServer(),
      PreparedRequest: sampleRequest,
      WebSocketRoute: sampleRoute,
      Socket: sampleEngineSocket,
      SocketEvents: sampleEngineEvents,
      Transport: () => new SampleTransport(),
      Parser: () => (new SampleTransport() as unknown as { parser: object }).parser,
      WebSocketTransport: sampleWebSocketTransport,
    },
    'socket.io': {
      Server: () => new Server(),
      Namespace: () => new Server().of('/'),
      Socket: sampleSocket,
      Client: sampleClient,
    },
    'socket.io-adapter': { Rooms: sampleRooms },
    'uWebSockets.js': { App: () => uws.App().close(), Module: () => uws },
  };
}

function kindOf(value: unknown): Kind | undefined {
  if (Array.isArray(value)) return 'array';
  if (value instanceof Map) return 'map';
  if (value === null) return undefined;
  const type = typeof value;
  return type === 'bigint' || type === 'symbol' || type === 'undefined' ? undefined : type;
}

/** What an owner does not have, or has as something else. */
function missingOf(owner: string, members: Readonly<Record<string, Kind>>, make: () => object): string[] {
  try {
    const sample = make() as Members;
    const missing = Object.entries(members).filter(([name, kind]) => kindOf(sample[name]) !== kind);
    return missing.map(([name, kind]) => `${owner}.${name} (${kind})`);
  } catch (error) {
    return [`${owner} (${messageOf(error)})`];
  }
}

/** In a bundle this module has no file. The packages are part of the bundle, all but uWebSockets.js. */
function isBundled(): boolean {
  return !existsSync(fileURLToPath(import.meta.url));
}

/** The version in use after a space; empty if it is not known: what is installed beside a bundle may be another one. */
function versionOf(name: Package): string {
  if (name !== 'uWebSockets.js' && isBundled()) return '';
  try {
    const main = createRequire(import.meta.url).resolve(name);
    const folder = join('node_modules', name);
    const path = join(main.slice(0, main.lastIndexOf(folder)), folder, 'package.json');
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
    return ` ${version}`;
  } catch {
    return '';
  }
}

/**
 * Checks that the dependencies have the private members that the gateway uses, which any of their releases may change.
 *
 * @throws {@link StartError} which are missing in which version of which package
 */
export function checkInternals(uws: Uws): void {
  const makers: Readonly<Record<Package, Readonly<Record<string, () => object>>>> = samples(uws);
  const faults = (Object.keys(INTERNALS) as Package[]).flatMap((name) => {
    const missing = Object.entries(INTERNALS[name]).flatMap(([owner, members]) =>
      missingOf(owner, members, makers[name][owner] ?? Object),
    );
    return missing.length === 0 ? [] : [`${name}${versionOf(name)} does not have ${missing.join(', ')}`];
  });
  if (faults.length === 0) return;
  throw new StartError(
    `${faults.join('; ').replaceAll(/\s+/g, ' ')}. The gateway uses these. Install the versions in package-lock.json and build ` +
      'again: run "npm ci" and "npm run build".',
    EXIT.failed,
  );
}
