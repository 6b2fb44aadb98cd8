import { type Socket, io } from 'socket.io-client';
import type { FeedEvent, ServerToClientEvents, Signal, StatusUpdate } from '../contract/events.js';
import { EXIT, StartError } from '../errors.js';
import { networkFault } from './network-fault.js';
import { stripControlCharacters, styleFor } from './terminal.js';

/** Options of `tail`, as commander reads them. */
export interface TailOptions {
  readonly url: URL;
  readonly topics?: string;
  readonly json?: true;
  readonly token?: string | undefined;
  readonly count?: number;
  /** Seconds to try for the first connection. */
  readonly connectFor: number;
}

/** An error of the stock client, with what it says about the cause. */
interface ConnectError extends Error {
  /** From the gateway, once Socket.IO is spoken. */
  readonly data?: { readonly code?: string };
  /** From the transport: an event of a WebSocket, or a status of HTTP. */
  readonly description?: { readonly error?: Error } | number;
  /** The request of HTTP. When nobody answers, its `statusText` is the error. */
  readonly context?: { readonly responseText?: string; readonly statusText?: unknown };
}

/** Why a connection failed, and what to do about it if that is more than to start a gateway. */
interface Reason {
  readonly reason: string;
  readonly advice?: string | undefined;
}

const NOT_FOUND = 404;
const WRONG_PORT = 'Is this the public port of a gateway (PORT, 3000 by default), with its BASE_PATH?';

/** Reads an error of the stock client; names the gateway's own code if it gave one. */
function reasonOf(error: ConnectError, url: URL): Reason {
  const { data, description, context } = error;
  if (data?.code !== undefined) return { reason: `${error.message} (${data.code})` };
  try {
    const body = JSON.parse(context?.responseText ?? '') as Readonly<Record<string, unknown>>;
    const { code, message } = body;
    // From the admin port, or from the public port for a path that is not below its BASE_PATH.
    if (code === 'not_found') return { reason: 'there is no Socket.IO (not_found)', advice: WRONG_PORT };
    if (typeof code === 'string') {
      return { reason: stripControlCharacters(`${typeof message === 'string' ? message : 'refused'} (${code})`) };
    }
  } catch {
    // Not the answer of a gateway.
  }
  if (context?.statusText instanceof Error) return networkFault(context.statusText, url);
  if (typeof description === 'number') {
    const advice = description === NOT_FOUND ? WRONG_PORT : undefined;
    return { reason: `${error.message}: HTTP ${description}`, advice };
  }
  return description?.error === undefined ? { reason: error.message } : networkFault(description.error, url);
}

/** A message as it is shown. */
interface Shown {
  /** `undefined` for a status that is not new. */
  readonly offset: string | undefined;
  readonly event: FeedEvent;
  readonly data: unknown;
}

/** Writes messages as lines of JSON, or for people. */
class Lines {
  readonly #json: boolean;
  readonly #takeOne: () => boolean;
  readonly #style = styleFor(process.stdout);

  /** @param takeOne - counts one line of those that are wanted; returns whether it was wanted */
  constructor(json: boolean, takeOne: () => boolean) {
    this.#json = json;
    this.#takeOne = takeOne;
  }

  signal(signal: Signal, offset: string): void {
    const { timestamp, signal: side, symbol, timeframe, price, type } = signal;
    const style = this.#style;
    this.#write({ offset, event: 'new_signal', data: signal }, () => [
      style('dim', stripControlCharacters(timestamp)),
      style(side === 'BUY' ? 'green' : 'red', side.padEnd(4)),
      style('bold', stripControlCharacters(symbol).padEnd(10)),
      stripControlCharacters(timeframe).padEnd(4),
      String(price).padStart(12),
      style('dim', stripControlCharacters(type)),
    ]);
  }

  status(update: StatusUpdate, offset: string | undefined): void {
    const { service, status, message } = update;
    const style = this.#style;
    const colour = status === 'active' ? 'green' : status === 'degraded' ? 'yellow' : 'red';
    this.#write({ offset, event: 'status_update', data: update }, () => [
      style('dim', new Date().toISOString()),
      style(colour, status),
      style('bold', stripControlCharacters(service)),
      stripControlCharacters(message),
    ]);
  }

  #write({ offset, event, data }: Shown, columns: () => string[]): void {
    const text = this.#json ? JSON.stringify({ offset: offset ?? null, event, data }) : columns().join('  ');
    if (this.#takeOne()) process.stdout.write(`${text}\n`);
  }
}

/** Reports on standard error what happens to the connection. */
function say(text: string): void {
  process.stderr.write(`${styleFor(process.stderr)('dim', stripControlCharacters(text))}\n`);
}

function topicsOf(list: string | undefined): string[] | undefined {
  const topics = list?.split(',').map((topic) => topic.trim());
  return topics?.filter((topic) => topic !== '');
}

/**
 * The command `tail`. Ends when the options say so, or when nobody reads; otherwise runs on.
 *
 * @throws StartError when the gateway refuses the client, or cannot be reached at first
 */
export async function tail(options: TailOptions): Promise<void> {
  const { url, token, connectFor, json = false } = options;
  const topics = topicsOf(options.topics);
  if (topics?.length === 0) throw new StartError('--topics must be a list such as BTC/USDT,ETH/USDT@1m.', EXIT.config);
  const socket: Socket<ServerToClientEvents> = io(url.origin, {
    // The stock client takes the path of an address for a namespace; here it is the gateway's BASE_PATH.
    path: `${url.pathname.replace(/\/$/, '')}/socket.io/`,
    // A gateway may offer only one of them.
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    reconnectionDelayMax: 2000,
    auth: { ...(topics && { topics }), ...(token !== undefined && { token }) },
  });
  let deadline: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      let left = options.count ?? Infinity;
      const lines = new Lines(json, () => {
        if (left === 1) resolve();
        return left-- > 0;
      });
      let connected = false;
      /** Whether it was reported that the gateway is away: once for each drop, not at every try. */
      let told = false;
      let cause: Reason = { reason: 'no answer' };
      deadline = setTimeout(() => reject(unreachable(url, cause, connectFor)), connectFor * 1000);

      socket.on('new_signal', (signal, offset) => lines.signal(signal, offset));
      socket.on('status_update', (update, offset) => lines.status(update, offset));
      socket.on('welcome', (_, offset) => {
        clearTimeout(deadline);
        if (!connected) say(`connected to ${url.origin} at ${offset}`);
        else if (socket.recovered) say('reconnected and recovered; what was missed follows');
        else say('reconnected, but not recovered');
        connected = true;
        told = false;
      });
      socket.on('gap', ({ reason: why, requested, resumed }) =>
        say(
          why === 'deleted'
            ? `gap: the message at ${resumed} was deleted by an operator`
            : `gap: messages between ${requested} and ${resumed} are lost (${why})`,
        ),
      );
      socket.on('disconnect', (why) => {
        // This command has shown enough.
        if (why === 'io client disconnect') return;
        say(`disconnected: ${why}${socket.active ? '; reconnecting' : ''}`);
        // The gateway ended it for good: the stock client does not reconnect.
        if (!socket.active)
          reject(new StartError(`The gateway at ${url.origin} disconnected this client.`, EXIT.failed));
      });
      socket.on('connect_error', (error: ConnectError) => {
        cause = reasonOf(error, url);
        const { reason } = cause;
        if (!socket.active) reject(new StartError(`The gateway at ${url.origin} refuses: ${reason}.`, EXIT.failed));
        else if (!told) say(`cannot connect to ${url.origin}: ${reason}; trying again`);
        told = true;
      });
    });
  } finally {
    clearTimeout(deadline);
    socket.disconnect();
  }
}

function unreachable(url: URL, { reason, advice }: Reason, seconds: number): StartError {
  const start = 'Start one with "signal-gateway start", or name its public port with --url.';
  const text = `No gateway to listen to at ${url.origin} within ${seconds} s: ${reason.replace(/\.$/, '')}. ${advice ?? start}`;
  return new StartError(text, EXIT.failed);
}
