import type { Socket as Connection } from 'engine.io';
import type { WebSocket } from 'uWebSockets.js';
import type { Admission } from '../../access/admission.js';
import type { SocketBehavior } from '../../http/guarded-app.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import { chooseOffer } from './compression-offer.js';
import { answerRefusal, asksForPolling } from './engine-refusals.js';
import type { EngineOptions } from './engine.js';
import type { FastHandlers, FastServer, OversizedHandlers } from './fast-server.js';
import { asConnection, fastOf } from './native-socket.js';
import { CLOSE_TOO_LARGE, HEAD_BYTES, TOO_LARGE, takenAtMost } from './oversized.js';
import { closeSecond, openSecond } from './second-websocket.js';
import type { SlowClients } from './slow-clients.js';
import type { SocketData } from './socket-data.js';

/** What a route for WebSockets needs of the engine. */
export interface WebSocketRouteOptions {
  readonly engine: EngineOptions;
  readonly admission: Admission;
  /** Serves the sessions that begin on a WebSocket; unset: engine.io does, which refuses them. */
  readonly fast: FastServer | undefined;
  readonly handlers: Pick<FastHandlers, 'admitsPing'>;
  readonly oversized: OversizedHandlers;
  readonly slow: SlowClients;
  /** Whether engine.io was asked for a second WebSocket of a session, and has not answered. */
  readonly isSecond: (req: GuardedRequest) => boolean;
  /** engine.io's connection of a transport that it is on or about to be on. */
  readonly connectionOn: (transport: object) => Connection | undefined;
}

/** How uWebSockets.js reports that it has closed a WebSocket for a message that is longer than it takes. */
const ABNORMAL = 1006;
const UWS_TOO_LARGE = 'Received too big message';

const WEBSOCKET_VERSION = '13';

/** uWebSockets.js takes 8 to 960 seconds, or 0 for never. */
function idleTimeout({ pingIntervalMs, pingTimeoutMs }: EngineOptions): number {
  const heartbeat = Math.ceil((pingIntervalMs + pingTimeoutMs) / 1000) + 8;
  return heartbeat > 960 ? 0 : Math.max(heartbeat, 16);
}

/** Serves WebSockets: those that begin a session itself, the others by the handlers that engine.io has registered. */
export class WebSocketRoute {
  readonly #options: WebSocketRouteOptions;

  constructor(options: WebSocketRouteOptions) {
    this.#options = options;
  }

  /** @param inner - engine.io's own handlers */
  behavior(inner: SocketBehavior<SocketData>): SocketBehavior<SocketData> {
    const { engine, fast, slow } = this.#options;
    return {
      ...inner,
      compression: engine.compression,
      idleTimeout: idleTimeout(engine),
      maxPayloadLength: takenAtMost(engine.maxPayload),
      // Engine.IO has heartbeats of its own.
      sendPingsAutomatically: false,
      maxBackpressure: engine.maxBackpressure,
      // Without this, messages of a slow reader are dropped silently and it stays connected.
      closeOnBackpressureLimit: true,
      upgrade: (res, req, context) => this.#upgrade(res, req, { inner, context }),
      open: (ws) => {
        const data = ws.getUserData();
        if ('connection' in data) fast?.open(data.connection, ws);
        else if ('isSecond' in data) closeSecond(ws);
        else void inner.open?.(ws);
      },
      message: (ws, message, isBinary) => {
        const data = ws.getUserData();
        if (message.byteLength > engine.maxPayload) this.#refuse(ws, message, isBinary);
        else if ('connection' in data) data.connection.take(message, isBinary);
        else void inner.message?.(ws, message, isBinary);
      },
      ping: (ws, message) => this.#countPing(ws, message.byteLength),
      pong: (ws, message) => this.#countPing(ws, message.byteLength),
      close: (ws, code, message) => {
        const data = ws.getUserData();
        if (code === ABNORMAL && Buffer.from(message).toString() === UWS_TOO_LARGE) this.#onTooLarge(data);
        if ('connection' in data) data.connection.onNativeClosed();
        else if ('transport' in data) inner.close?.(ws, code, message);
      },
      dropped: (ws) => slow.onDropped(ws),
    };
  }

  #upgrade(
    res: GuardedResponse,
    req: GuardedRequest,
    { inner, context }: { inner: SocketBehavior<SocketData>; context: never },
  ): unknown {
    const { engine, admission, fast, isSecond } = this.#options;
    // RFC 6455, 4.4.
    if (req.head.webSocket.version !== WEBSOCKET_VERSION) {
      res.refuse('upgrade_required', [['Sec-WebSocket-Version', WEBSOCKET_VERSION]]);
      return undefined;
    }
    if (!admission.admit(res, req)) return undefined;
    res.chooseExtensions = (offers) => chooseOffer(offers, engine.compression);
    const connection = fast?.accept(req);
    if (connection === undefined) {
      if (asksForPolling(req)) return answerRefusal(res, 'bad_request');
      inner.upgrade?.(res, req, context);
      if (isSecond(req)) openSecond(res, req, context);
      return undefined;
    }
    const { key, protocol, extensions } = req.head.webSocket;
    res.upgrade({ connection }, key, protocol, extensions, context);
    return undefined;
  }

  #connectionOf(data: SocketData): Connection | undefined {
    if ('connection' in data) return asConnection(data.connection);
    return 'transport' in data ? this.#options.connectionOn(data.transport) : undefined;
  }

  #onTooLarge(data: SocketData): void {
    const connection = this.#connectionOf(data);
    if (connection !== undefined) this.#options.oversized.onClosed(connection);
  }

  /** Refuses a message that is too large; a connection that does not wait for an answer is closed with one. */
  #refuse(ws: WebSocket<SocketData>, message: ArrayBuffer, isBinary: boolean): void {
    const connection = this.#connectionOf(ws.getUserData());
    const head = isBinary ? '' : Buffer.from(message.slice(0, HEAD_BYTES)).toString();
    if (connection !== undefined && this.#options.oversized.refuse(connection, head, message.byteLength)) return;
    const fast = connection && fastOf(connection);
    if (fast !== undefined) fast.closeWith(CLOSE_TOO_LARGE, TOO_LARGE);
    else ws.end(CLOSE_TOO_LARGE, TOO_LARGE);
  }

  /** Counts a ping or pong of the WebSocket itself, which nobody else sees; a client that floods is cut. */
  #countPing(ws: WebSocket<SocketData>, bytes: number): void {
    const data = ws.getUserData();
    if ('connection' in data) {
      data.connection.takePing(bytes);
      return;
    }
    if ('isSecond' in data) return;
    const { handlers, connectionOn } = this.#options;
    if (!handlers.admitsPing(data.transport, () => connectionOn(data.transport), bytes)) ws.close();
  }
}
