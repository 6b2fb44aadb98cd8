import { type DefaultEventsMap, Server, type ServerOptions } from 'socket.io';
import type { ClientToServerEvents, ServerToClientEvents } from '../contract/events.js';
import { FastNamespace, type SocketHooks } from './engine/fast-namespace.js';
import type { ClientData } from './feed-socket.js';

type Base = Server<ClientToServerEvents, ServerToClientEvents & DefaultEventsMap, DefaultEventsMap, ClientData>;
const BaseServer: new (options: Partial<ServerOptions>) => Base = Server;

/** Socket.IO's server, whose root namespace is a {@link FastNamespace}. */
export class GatewayServer extends BaseServer {
  readonly hooks: SocketHooks;

  constructor(options: Partial<ServerOptions>, hooks: SocketHooks) {
    super(options);
    this.hooks = hooks;
  }

  override of(...[name, onConnect]: Parameters<Base['of']>): ReturnType<Base['of']> {
    // The first call is made by the base class, while it is constructed.
    const namespaces: Map<string, object> = this._nsps;
    if (name === '/' && !namespaces.has(name)) namespaces.set(name, new FastNamespace(this, name));
    return super.of(name, onConnect);
  }
}
