import { type ManagerOptions, type Socket, type SocketOptions, io } from 'socket.io-client';
import type {
  ClientToServerEvents,
  Gap,
  ServerToClientEvents,
  Signal,
  StatusUpdate,
  SubscribeAnswer,
} from '../contract/events.js';
import { connectReason } from './connect-reason.js';
import { KeptOffset, type OffsetStorageSource } from './kept-offset.js';
import { Listeners } from './listeners.js';
import { SignalError, type SignalErrorCode } from './signal-error.js';
import { type Delivery, SignalIterator } from './signal-iterator.js';

// What a program needs to name what it gets from here: it can import from no other file of the package.
export type { Gap, Signal, StatusUpdate, SubscribeAnswer } from '../contract/events.js';
export type { OffsetStorage, OffsetStorageSource } from './kept-offset.js';
export { SignalError, type SignalErrorCode } from './signal-error.js';
export type { Delivery } from './signal-iterator.js';

/** Options of a {@link SignalClient}; all are optional. */
export interface SignalClientOptions {
  /** Symbols (`BTC/USDT`), symbols in one timeframe (`BTC/USDT@1m`), or `*`. @default everything that the token allows */
  readonly topics?: readonly string[] | undefined;
  /** For a gateway with `AUTH=jwt`. A function is called at every connect, so that it can return a fresh token. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** How often in a row `token` is called again when it fails or its token is refused. @default 5 */
  readonly tokenRetries?: number | undefined;
  /** Start after this offset instead of now: everything since then comes first. Takes precedence over `storage`. */
  readonly after?: string | undefined;
  /**
   * Where the newest offset is kept over a reload of the page: `() => sessionStorage`. Without the function, a page that is not
   * allowed to use it, or a server, fails before the client can catch the error. @default nowhere
   */
  readonly storage?: OffsetStorageSource | undefined;
  /** Its key there; each client of a page needs its own. @default `signal-gateway:` and the address */
  readonly key?: string | undefined;
  /** Options of socket.io-client, such as `transports` and `reconnectionDelay`. After `reconnectionAttempts` the client is closed. */
  readonly socket?:
    Partial<Omit<ManagerOptions & SocketOptions, 'auth' | 'autoConnect' | 'forceNew' | 'reconnection'>> | undefined;
}

/** The state of a client's connection. */
export type ConnectionState =
  | { readonly name: 'connecting' }
  /** `recovered`: it continues where it was, and what it missed follows. Otherwise it starts now; `onGap` reports a loss. */
  | { readonly name: 'connected'; readonly recovered: boolean }
  /** Not connected; it reconnects by itself. */
  | { readonly name: 'reconnecting'; readonly reason: string }
  /** Ended, with an error unless `close()` was called; `connect()` starts again. */
  | { readonly name: 'closed'; readonly error?: SignalError };

/** The result of {@link SignalClient.subscribe}: the gateway's answer, or `no_answer` if the connection ended meanwhile. */
export type SubscribeResult =
  SubscribeAnswer | { readonly ok: false; readonly error: { readonly code: 'no_answer'; readonly message: string } };

/** Most signals that wait for the loop of an iterator. */
const ITERATOR_LIMIT = 1000;

const TOKEN_RETRIES = 5;

/** Packet type of the Socket.IO protocol. */
const CONNECT = 0;

/** Names a session to the gateway. Only pages over HTTPS have `randomUUID`. */
function randomPid(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}

/** A connection to the feed that reconnects by itself and continues where it was. */
export class SignalClient {
  /** The stock client underneath, for anything that is not here. Do not change its `auth`. */
  readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  readonly #options: SignalClientOptions;
  readonly #kept: KeptOffset;
  readonly #onSignal = new Listeners<[Signal, string]>();
  readonly #onStatus = new Listeners<[StatusUpdate]>();
  readonly #onGap = new Listeners<[Gap]>();
  readonly #onState = new Listeners<[ConnectionState]>();
  #state: ConnectionState = { name: 'connecting' };
  #statuses: ReadonlyMap<string, StatusUpdate> = new Map();
  #topics: readonly string[] | undefined;
  #offset: string | undefined;
  /**
   * Names the session that the client continues; the gateway keeps its topics under this name. Without one the client starts a
   * new session, whose topics are those that it sends.
   */
  #pid: string | undefined;
  #recovered = false;
  #tokenTries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, options: SignalClientOptions = {}) {
    this.#options = options;
    this.#topics = options.topics;
    this.#kept = new KeptOffset(options.storage, options.key ?? `signal-gateway:${url}`);
    // Only the offset is kept over a reload, and no pid: a duplicated tab, which has a copy, must not share our topics.
    this.#offset = options.after ?? this.#kept.read();
    const auth = (send: (data: object) => void): void => this.#introduce(send);
    this.socket = io(url, { ...options.socket, forceNew: true, autoConnect: false, reconnection: true, auth });
    const { socket } = this;
    socket.io.on('packet', ({ type, data }: { type: number; data?: { pid?: string } }) => {
      if (type !== CONNECT) return;
      // Not `socket.recovered`, which is false for the first connect of an object, reloaded page or not.
      this.#recovered = data?.pid !== undefined && data.pid === this.#pid;
      this.#pid = data?.pid;
    });
    socket.on('connect', () => {
      this.#tokenTries = 0;
      this.#setState({ name: 'connected', recovered: this.#recovered });
    });
    socket.on('disconnect', (reason) => {
      if (socket.active) this.#setState({ name: 'reconnecting', reason });
      else if (reason === 'io client disconnect') this.close();
      else this.#fail(new SignalError('disconnected', `the gateway ended the connection: ${reason}`));
    });
    socket.on('connect_error', (error: Error & { data?: { code?: SignalErrorCode } }) => {
      if (socket.active) {
        this.#setState({ name: 'reconnecting', reason: connectReason(error, options.socket?.withCredentials) });
      } else this.#onRefused(new SignalError(error.data?.code ?? 'disconnected', error.message));
    });
    socket.io.on('reconnect_failed', () => this.#fail(new SignalError('unreachable', 'no try to connect succeeded')));
    socket.on('welcome', (_welcome, offset) => this.#advance(offset));
    socket.on('checkpoint', (offset) => this.#advance(offset));
    socket.on('new_signal', (signal, offset) => {
      this.#advance(offset);
      this.#onSignal.tell(signal, offset);
    });
    socket.on('status_update', (status, offset) => {
      if (offset !== undefined) this.#advance(offset);
      this.#statuses = new Map(this.#statuses).set(status.service, status);
      this.#onStatus.tell(status);
    });
    socket.on('gap', (gap) => {
      this.#advance(gap.resumed);
      this.#onGap.tell(gap);
    });
    this.connect();
  }

  /** Where the connection is now. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** The newest place that the client has reached; `undefined` until the first welcome. */
  get offset(): string | undefined {
    return this.#offset;
  }

  /** The active topics, or those for the next connect; `undefined`: everything that the token allows. */
  get topics(): readonly string[] | undefined {
    return this.#topics;
  }

  /** The newest status of every service. A new map with every change. */
  get statuses(): ReadonlyMap<string, StatusUpdate> {
    return this.#statuses;
  }

  /** Listens for signals. @returns removes the listener */
  onSignal(listener: (signal: Signal, offset: string) => void): () => void {
    return this.#onSignal.add(listener);
  }

  /** Listens for statuses. @returns removes the listener */
  onStatus(listener: (status: StatusUpdate) => void): () => void {
    return this.#onStatus.add(listener);
  }

  /** Listens for losses: signals that this client does not get, or one that was deleted (reason `deleted`). @returns removes the listener */
  onGap(listener: (gap: Gap) => void): () => void {
    return this.#onGap.add(listener);
  }

  /** Listens for changes of {@link state}. @returns removes the listener */
  onState(listener: (state: ConnectionState) => void): () => void {
    return this.#onState.add(listener);
  }

  /**
   * Signals from now on, for `for await`. The loop ends with `break` and with {@link close}, and throws the error that ends the
   * client.
   *
   * @param options.limit - signals that may wait for the loop; if more do, the loop gets those and then throws `buffer_full`
   */
  signals({ limit = ITERATOR_LIMIT }: { readonly limit?: number } = {}): AsyncIterableIterator<Delivery, undefined> {
    const stops = [
      this.onSignal((signal, offset) => iterator.push({ signal, offset })),
      this.onState((state) => state.name === 'closed' && iterator.end(state.error)),
    ];
    const iterator = new SignalIterator(limit, () => stops.forEach((stop) => stop()));
    if (this.#state.name === 'closed') iterator.end(this.#state.error);
    return iterator;
  }

  /**
   * Replaces all topics, from now on and over every reconnect. Waits for a connection if there is none.
   *
   * @returns never rejects. If it is not `ok`, the topics from before are still active
   */
  async subscribe(topics: readonly string[]): Promise<SubscribeResult> {
    await this.#connectedOrClosed();
    try {
      // It would wait for a connection that may never come.
      if (!this.socket.connected) throw new Error('there is no connection');
      const answer = await this.socket.emitWithAck('subscribe', topics);
      if (answer.ok) this.#topics = answer.topics;
      return answer;
    } catch (error) {
      // It is not known whether the gateway has kept them for the session: continue as another one, with the topics from before.
      this.#pid = undefined;
      return { ok: false, error: { code: 'no_answer', message: (error as Error).message } };
    }
  }

  /** Connects again after an end. */
  connect(): void {
    clearTimeout(this.#timer);
    this.#tokenTries = 0;
    this.#kept.open();
    if (!this.socket.connected) this.#setState({ name: 'connecting' });
    this.socket.connect();
  }

  /** Ends the connection, and every iterator. May be called twice. */
  close(): void {
    this.#finish({ name: 'closed' });
  }

  #setState(state: ConnectionState): void {
    this.#state = state;
    this.#onState.tell(state);
  }

  #advance(offset: string): void {
    this.#offset = offset;
    this.#kept.keep(offset);
  }

  async #connectedOrClosed(): Promise<void> {
    const isThere = (): boolean => this.socket.connected || this.#state.name === 'closed';
    if (isThere()) return;
    await new Promise<void>((resolve) => {
      const stop = this.onState(() => {
        if (!isThere()) return;
        stop();
        resolve();
      });
    });
  }

  /** Sends what the gateway needs before it admits the client. */
  #introduce(send: (data: object) => void): void {
    const { engine } = this.socket.io;
    // A slow token may arrive when its connection is gone, and the next one has asked for its own.
    const isNewest = (): boolean => engine === this.socket.io.engine && engine.readyState === 'open';
    const introduce = (token: string | undefined): void => {
      if (!isNewest()) return;
      if (this.#pid === undefined) {
        this.#pid = randomPid();
        // The mark stands for topics that the gateway keeps for the session before; this one begins with those that we send.
        this.#offset = this.#offset?.replace(/~$/, '');
      }
      send({
        token,
        topics: this.#topics,
        ...(this.#offset !== undefined && { pid: this.#pid, offset: this.#offset }),
      });
    };
    const { token } = this.#options;
    if (typeof token !== 'function') {
      introduce(token);
      return;
    }
    void new Promise<string>((resolve) => resolve(token())).then(introduce, (error: unknown) => {
      if (isNewest()) this.#askAgain(new SignalError('no_token', String(error)));
    });
  }

  #onRefused(error: SignalError): void {
    if (error.code.startsWith('token_') && typeof this.#options.token === 'function') this.#askAgain(error);
    else this.#fail(error);
  }

  /** Reconnects with another token: at once, and then more and more slowly. */
  #askAgain(error: SignalError): void {
    const tries = ++this.#tokenTries;
    if (tries > (this.#options.tokenRetries ?? TOKEN_RETRIES)) {
      this.#fail(error);
      return;
    }
    this.socket.disconnect();
    this.#timer = setTimeout(() => this.socket.connect(), tries > 1 ? 500 * 2 ** tries : 0);
    this.#setState({ name: 'reconnecting', reason: error.message });
  }

  #fail(error: SignalError): void {
    this.#finish({ name: 'closed', error });
  }

  #finish(state: ConnectionState): void {
    if (this.#state.name === 'closed') return;
    clearTimeout(this.#timer);
    this.#kept.close();
    // Before the socket reports it, which would call this again.
    this.#setState(state);
    this.socket.disconnect();
  }
}

/**
 * Connects to a gateway.
 *
 * @param url - its public address, such as `https://signals.example.com`
 */
export function connectSignals(url: string, options?: SignalClientOptions): SignalClient {
  return new SignalClient(url, options);
}
