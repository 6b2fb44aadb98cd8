import type { Gap, StatusUpdate } from '../contract/events.js';
import { type ConnectionState, SignalClient, type SignalClientOptions, type SubscribeResult } from './signal-client.js';
import type { Delivery } from './signal-iterator.js';

/** What a component shows: an immutable object, a new one for every change. */
export interface SignalSnapshot {
  /** Newest first, at most `limit`. The offset of each is unique: a good `key`. */
  readonly signals: readonly Delivery[];
  /** The newest status of every service. */
  readonly statuses: ReadonlyMap<string, StatusUpdate>;
  readonly state: ConnectionState;
  /** The newest loss that the gateway reported, if any. */
  readonly gap: Gap | undefined;
  /** Why the newest `topics` are not active, if they are not. */
  readonly topicsError: TopicsError | undefined;
}

/** Why topics are not active. */
export type TopicsError = Extract<SubscribeResult, { ok: false }>['error'];

/** Signals in a snapshot. */
const LIMIT = 100;

const FRAME_MS = 16;

/** On a server, and before the first connect. */
export const NOTHING: SignalSnapshot = {
  signals: [],
  statuses: new Map(),
  state: { name: 'connecting' },
  gap: undefined,
  topicsError: undefined,
};

/** What pages have and Node.js lacks. */
const frames = globalThis as {
  requestAnimationFrame?(callback: () => void): number;
};

function nextFrame(callback: () => void): void {
  if (frames.requestAnimationFrame === undefined) setTimeout(callback, FRAME_MS);
  else frames.requestAnimationFrame(callback);
}

/** A value that is not a count would keep everything, or change with every render: `NaN` does not equal itself. */
function usable(limit: number | undefined): number {
  return limit !== undefined && Number.isInteger(limit) && limit > 0 ? limit : LIMIT;
}

/**
 * Collects what a client gets into one snapshot a frame, as long as somebody listens.
 *
 * With an address, it connects for the first listener and closes after the last one; the next listener continues where it
 * was. A client that it is given is never closed.
 */
export class SignalStore {
  readonly #source: string | SignalClient;
  #options: SignalClientOptions;
  #limit: number;
  #client: SignalClient | undefined;
  #snapshot = NOTHING;
  /** Oldest first: since the last snapshot. */
  #fresh: Delivery[] = [];
  #gap: Gap | undefined;
  #topicsError: TopicsError | undefined;
  /** The active topics as they were requested, as a text; `undefined` while they are not known. */
  #applied: string | undefined = String(undefined);
  #isPlanned = false;
  /** What the client was made with. */
  #tokenAtStart: SignalClientOptions['token'];
  readonly #listeners = new Set<() => void>();
  #stops: (() => void)[] = [];

  constructor(source: string | SignalClient, options: SignalClientOptions, limit?: number) {
    this.#source = source;
    this.#options = options;
    this.#limit = usable(limit);
  }

  /** Takes what may change between two renders: the limit, the topics and the source of tokens. */
  configure(options: SignalClientOptions, newLimit?: number): void {
    const limit = usable(newLimit);
    const before = String(this.#options.topics);
    if (limit !== this.#limit) this.#plan();
    this.#options = options;
    this.#limit = limit;
    this.#revive();
    if (String(options.topics) === before) return;
    // Only a connect can ask for everything that the token allows: `*` may be more than that.
    if (options.topics === undefined && this.#isOwn && this.#listeners.size > 0) this.#restart();
    else void this.#subscribe();
  }

  readonly snapshot = (): SignalSnapshot => this.#snapshot;

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  };

  #start(): void {
    const client = this.#connect();
    this.#client = client;
    this.#stops = [
      client.onSignal((signal, offset) => {
        this.#fresh.push({ signal, offset });
        // A page in the background gets no frames.
        if (this.#fresh.length > 2 * this.#limit) this.#fresh = this.#fresh.slice(-this.#limit);
        this.#plan();
      }),
      client.onStatus(() => this.#plan()),
      client.onState(({ name }) => {
        if (name === 'connected') void this.#subscribe();
        else queueMicrotask(() => this.#revive());
        this.#plan();
      }),
      client.onGap((gap) => {
        this.#gap = gap;
        this.#plan();
      }),
    ];
    if (client === this.#source) void this.#subscribe();
    this.#plan();
  }

  #connect(): SignalClient {
    if (typeof this.#source !== 'string') return this.#source;
    const after = this.#client?.offset ?? this.#options.after;
    this.#applied = String(this.#options.topics);
    this.#tokenAtStart = this.#options.token;
    const token = this.#options.token === undefined ? undefined : (): string | Promise<string> => this.#token();
    return new SignalClient(this.#source, { ...this.#options, after, token });
  }

  /** The newest token: a function is a new one in every render. */
  #token(): string | Promise<string> {
    const { token = '' } = this.#options;
    return typeof token === 'function' ? token() : token;
  }

  /** Subscribes the client to the newest topics; again when it is connected, if that failed. */
  async #subscribe(): Promise<void> {
    const { topics = ['*'] } = this.#options;
    const wanted = String(this.#options.topics);
    const client = this.#client;
    if (client?.state.name !== 'connected' || wanted === this.#applied) return;
    this.#applied = undefined;
    const answer = await client.subscribe(topics);
    // By now other topics are wanted, and were requested.
    if (this.#client !== client || String(this.#options.topics) !== wanted) return;
    if (answer.ok) this.#applied = wanted;
    this.#topicsError = answer.ok ? undefined : answer.error;
    this.#plan();
  }

  get #isOwn(): boolean {
    return typeof this.#source === 'string';
  }

  /** Starts again if the client was refused and there is a new token now. */
  #revive(): void {
    const [before, now] = [this.#tokenAtStart, this.#options.token];
    // Whether two functions return the same is not known.
    const isOther = before === undefined || (typeof before === 'string' && typeof now === 'string' && before !== now);
    if (!this.#isOwn || this.#client?.state.name !== 'closed' || this.#listeners.size === 0) return;
    if (now !== undefined && isOther) this.#restart();
  }

  #restart(): void {
    this.#stop();
    this.#topicsError = undefined;
    this.#start();
  }

  #stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
    // The object is kept, since it knows the newest place.
    if (this.#isOwn) this.#client?.close();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    nextFrame(() => {
      this.#isPlanned = false;
      this.#publish();
    });
  }

  #publish(): void {
    const client = this.#client;
    if (client === undefined || this.#listeners.size === 0) return;
    const fresh = this.#fresh.splice(0).toReversed();
    const { signals } = this.#snapshot;
    this.#snapshot = {
      signals:
        fresh.length === 0 && signals.length <= this.#limit ? signals : [...fresh, ...signals].slice(0, this.#limit),
      statuses: client.statuses,
      state: client.state,
      gap: this.#gap,
      topicsError: this.#topicsError,
    };
    for (const listener of this.#listeners) listener();
  }
}
