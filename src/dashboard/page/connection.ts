import { type Socket, io } from 'socket.io-client';
import type { ClientToServerEvents, ServerToClientEvents } from '../../contract/events.js';
import { type Offset, parseOffset } from '../../contract/offset.js';
import type { Entry, EventLog } from './event-log.js';
import type { Feed } from './feed.js';
import { count, several } from './format.js';
import type { PageInfo } from '../dashboard-info.js';

/** The state of the connection, for the eye and the screen reader. */
export type LinkState = 'connecting' | 'connected' | 'lost' | 'refused';

/** Shows the state of the connection. */
export interface ConnectionView {
  state(state: LinkState, text: string): void;
  /** A token is needed, or another one. */
  askForToken(): void;
  /** Something has to be drawn. */
  changed(): void;
  status(status: Parameters<ServerToClientEvents['status_update']>[0]): void;
}

/** What the connection works with. */
export interface ConnectionParts {
  readonly feed: Feed;
  readonly log: EventLog;
  readonly view: ConnectionView;
  readonly askPod: () => Promise<PageInfo | undefined>;
}

const REASONS: Readonly<Record<string, string>> = {
  'transport close': 'the connection was closed',
  'transport error': 'the connection failed',
  'ping timeout': 'the gateway did not answer',
  'io server disconnect': 'the gateway ended the session',
  'io client disconnect': 'this page disconnected',
};

/** Whether a token allows only some symbols: then the gateway sends no others, and their numbers are missing. */
function isLimited(token: string): boolean {
  try {
    const [, payload = ''] = token.split('.');
    const { topics } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))) as { topics?: unknown };
    return Array.isArray(topics) && !topics.includes('*');
  } catch {
    return false;
  }
}

/** The page's link to the feed: the stock Socket.IO client, which recovers by itself, and a record of what happens to it. */
export class Connection {
  readonly #socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  readonly #feed: Feed;
  readonly #log: EventLog;
  readonly #view: ConnectionView;
  readonly #askPod: () => Promise<PageInfo | undefined>;
  #token = '';
  #connects = 0;
  /** The log entry of attempts that failed in a row. */
  #attempts: { readonly entry: Entry; count: number } | undefined;
  /** A recovery under way: it is done when the feed has reached the target. */
  #catchingUp: { readonly entry: Entry; readonly target: Offset; readonly missed: number } | undefined;

  constructor({ feed, log, view, askPod }: ConnectionParts) {
    this.#feed = feed;
    this.#log = log;
    this.#view = view;
    this.#askPod = askPod;
    this.#socket = io({
      // Next to the page, which may be below a prefix (BASE_PATH).
      path: new URL('socket.io/', document.baseURI).pathname,
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 5000,
      auth: (send) => send(this.#token === '' ? {} : { token: this.#token }),
    });
    this.#listen();
  }

  get isConnected(): boolean {
    return this.#socket.connected;
  }

  /** Connects with a token, or tries again after the gateway ended the session. */
  connect(token = this.#token): void {
    this.#token = token;
    this.#feed.contiguity.isPartial = isLimited(token);
    this.#view.state('connecting', 'Connecting…');
    this.#socket.disconnect().connect();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('connect', () => this.#onConnect());
    socket.on('disconnect', (reason) => this.#onDisconnect(reason));
    socket.on('connect_error', (error) => this.#onConnectError(error));
    socket.on('welcome', (_welcome, offset) => {
      const place = parseOffset(offset);
      if (place === undefined) return;
      const missing = this.#feed.contiguity.moveTo(place);
      if (missing > 0) this.#log.add('bad', `${several(missing, 'message')} cannot be recovered.`);
      this.#view.changed();
    });
    socket.on('gap', ({ reason, requested, resumed }) => {
      const place = parseOffset(resumed);
      if (reason === 'deleted') {
        if (place !== undefined) this.#noteHole(this.#feed.contiguity.pass(place));
        this.#log.add('plain', `An operator deleted the message at ${resumed}.`);
        this.#checkCaughtUp();
        this.#view.changed();
        return;
      }
      const missing = place === undefined ? 0 : this.#feed.contiguity.moveTo(place);
      const why = reason === 'expired' ? 'the missed messages are no longer kept' : 'the journal was lost';
      const size = missing > 0 ? several(missing, 'message') : 'messages';
      this.#log.add('bad', `Gap: ${why}; ${size} between ${requested} and ${resumed} are lost.`);
      this.#view.changed();
    });
    socket.on('new_signal', (signal, offset) => {
      this.#noteHole(this.#feed.take(signal, offset, Date.now()));
      this.#checkCaughtUp();
      this.#view.changed();
    });
    socket.on('status_update', (status, offset) => {
      const place = parseOffset(offset);
      if (place !== undefined) this.#noteHole(this.#feed.contiguity.take(place));
      this.#checkCaughtUp();
      this.#view.status(status);
    });
  }

  #onConnect(): void {
    const transport = this.#socket.io.engine.transport.name === 'websocket' ? 'WebSocket' : 'long-polling';
    const before = this.#feed.contiguity.last;
    const isFirst = this.#connects++ === 0;
    this.#attempts = undefined;
    this.#view.state('connected', isFirst ? 'Connected' : this.#socket.recovered ? 'Recovered' : 'Reconnected');
    if (isFirst) {
      this.#log.add('good', `Connected over ${transport}.`);
      void this.#askPod();
    } else if (this.#socket.recovered) {
      void this.#followRecovery(this.#log.add('good', 'Reconnected: recovered, catching up…'), before);
    } else {
      this.#log.add('bad', 'Reconnected: not recovered; the feed continues from here.');
      void this.#askPod();
    }
  }

  /** The gateway does not say how much was missed; the newest place in its journal tells. */
  async #followRecovery(entry: Entry, before: Offset | undefined): Promise<void> {
    const connects = this.#connects;
    const info = await this.#askPod();
    // By now it may be another connection, or none.
    if (connects !== this.#connects || !this.#socket.connected) return;
    const head = parseOffset(info?.head);
    const { isPartial } = this.#feed.contiguity;
    if (isPartial || head === undefined || before === undefined || head.epoch !== before.epoch) {
      entry('good', `Reconnected: recovered${info === undefined ? '' : ` on ${info.pod}`}.`);
      return;
    }
    this.#catchingUp = { entry, target: head, missed: Math.max(0, head.seq - before.seq) };
    this.#checkCaughtUp();
  }

  #checkCaughtUp(): void {
    const recovery = this.#catchingUp;
    if (recovery === undefined) return;
    const { last } = this.#feed.contiguity;
    if (last === undefined || (last.epoch === recovery.target.epoch && last.seq < recovery.target.seq)) return;
    this.#catchingUp = undefined;
    const caughtUp = recovery.missed === 0 ? 'nothing was missed' : `${count(recovery.missed)} missed, all caught up`;
    recovery.entry('good', `Reconnected: recovered; ${caughtUp}.`);
  }

  #onDisconnect(reason: string): void {
    this.#catchingUp = undefined;
    const why = REASONS[reason] ?? reason;
    this.#log.add('bad', `Connection lost: ${why}.`);
    // After some reasons the client does not reconnect by itself.
    if (this.#socket.active) this.#view.state('lost', 'Connection lost, trying again…');
    else this.#view.state('refused', `Not connected: ${why}`);
  }

  #onConnectError(error: Error & { readonly data?: { readonly code?: string } }): void {
    const code = error.data?.code;
    if (this.#socket.active) {
      this.#attempts ??= { entry: this.#log.add('bad', ''), count: 0 };
      this.#attempts.count++;
      this.#attempts.entry('bad', `Cannot connect (${several(this.#attempts.count, 'attempt')}); trying again.`);
      this.#view.state('lost', 'Connection lost, trying again…');
      return;
    }
    this.#log.add('bad', `Refused: ${error.message}${code === undefined ? '' : ` (${code})`}.`);
    // The text of the code is for programs.
    this.#view.state('refused', `Refused: ${code === 'token_missing' ? 'a token is needed' : error.message}`);
    if (code?.startsWith('token_') === true) this.#view.askForToken();
  }

  #noteHole(missing: number): void {
    if (missing > 0) this.#log.add('bad', `Gap: ${several(missing, 'message')} did not arrive.`);
  }
}
