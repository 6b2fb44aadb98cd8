import type { FastConnection } from './fast-connection.js';
import type { WebSocketTransport } from './internals.js';
import type { SecondWebSocket } from './second-websocket.js';

/** A WebSocket's user data: as engine.io sets it, a connection of ours, or that it is closed as soon as it is open. */
export type SocketData =
  { readonly transport: WebSocketTransport } | { readonly connection: FastConnection } | SecondWebSocket;
