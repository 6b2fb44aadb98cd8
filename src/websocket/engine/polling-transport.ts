import { type Socket as Connection, Transport } from 'engine.io';
import type { HttpErrorCode } from '../../errors.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import {
  type EnginePacket,
  type EngineSocketInside,
  type PayloadParser,
  type PreparedRequest,
  insideOf,
  payloadParser,
} from './internals.js';
import { BodyReader } from './polling-body.js';

/**
 * Engine.IO packets in one answer to a poll. python-engineio refuses an answer of more, and then asks for the same again
 * and again; no other known client has a limit.
 */
export const MAX_PACKETS = 16;

/** How long a session that is being closed waits for a poll, which is then answered with that; as in engine.io. */
const CLOSE_TIMEOUT_MS = 30_000;

/** A request and its response. */
interface Exchange {
  readonly req: PreparedRequest;
  readonly res: GuardedResponse;
}

/** Puts items before those of a list, which stays the same list. There may be too many for the arguments of one call. */
function putFirst<T>(list: T[], items: readonly T[]): void {
  const later = list.splice(0);
  for (const item of items) list.push(item);
  for (const item of later) list.push(item);
}

/**
 * Long-polling over uWebSockets.js, in place of engine.io's transport of that kind: an answer holds at most
 * {@link MAX_PACKETS} packets, a body may come in chunks, and every refusal can be read.
 *
 * What does not fit into an answer goes back to where it came from, the `writeBuffer` of engine.io's socket: there it is
 * still before everything newer, counts as waiting, and goes out first over a WebSocket to which the session upgrades.
 *
 * Format: https://socket.io/docs/v4/engine-io-protocol/
 */
export class PollingTransport extends Transport {
  /** Bytes of a body; set by engine.io's server. */
  maxHttpBufferSize = 0;
  readonly #parser: PayloadParser;
  #outbox: EngineSocketInside | undefined = undefined;
  /** The poll that waits for packets. MUST be released as soon as it is answered or aborted. */
  #poll: Exchange | undefined = undefined;
  /** The POST whose body is not whole yet. */
  #post: { readonly res: GuardedResponse; readonly body: BodyReader } | undefined = undefined;
  /** Set while the session is being closed; to be called when an answer has said so. */
  #onLastAnswer: (() => void) | undefined = undefined;

  constructor(req: PreparedRequest) {
    super(req);
    this.#parser = payloadParser(this.parser);
  }

  override get name(): 'polling' {
    return 'polling';
  }

  /** The body that is being sent by the client, if there is one: another object for each. */
  get body(): object | undefined {
    return this.#post;
  }

  /** Gives up the body that is being sent, and with it the connection that it comes over. */
  dropBody(): void {
    this.#post?.res.close();
  }

  /**
   * Names the socket that this is the transport of. Until then it is given one packet: the one that opens the session.
   */
  serve(connection: Connection): void {
    this.#outbox = insideOf(connection);
  }

  override onRequest(req: PreparedRequest): void {
    const { res } = req;
    // engine.io keeps the first request of a session.
    req.res = null;
    if (res === null) return;
    if (req.method === 'GET') this.#onPoll(req, res);
    else if (req.method === 'POST') this.#onPost(req, res);
    else res.refuse('method_not_allowed');
  }

  /** Answers the poll that waits. MUST only be called while the transport is writable. */
  override send(packets: EnginePacket[]): void {
    this.writable = false;
    const poll = this.#poll;
    if (poll === undefined) return;
    this.#poll = undefined;
    if (packets.length > MAX_PACKETS && this.#outbox !== undefined) {
      this.#giveBack(packets.splice(MAX_PACKETS), this.#outbox);
    }
    this.#parser.encodePayload(packets, (payload) => this.#answer(poll, 'text/plain; charset=UTF-8', payload));
    this.emit('drain');
  }

  override close(done?: () => void): void {
    super.close(done);
    // No poll finds a session that is over: there is nothing to wait for, and nothing to keep.
    if (this.#outbox?.readyState === 'closed') this.#onLastAnswer?.();
  }

  override doClose(done: () => void = () => {}): void {
    const closed = (): void => {
      clearTimeout(timer);
      this.#onLastAnswer = undefined;
      done();
      this.onClose();
    };
    let timer: NodeJS.Timeout | undefined;
    if (this.writable) {
      this.send([{ type: 'close' }]);
      closed();
    } else if (this.discarded) {
      closed();
    } else {
      this.#onLastAnswer = closed;
      timer = setTimeout(closed, CLOSE_TIMEOUT_MS).unref();
    }
  }

  protected override onClose(): void {
    // Nobody else answers the poll that waits.
    if (this.writable) this.send([{ type: 'noop' }]);
    this.#post?.body.forget();
    super.onClose();
  }

  /** Hands on the packets of a body. @returns whether all of them are packets; if not the session is closed */
  #takePackets(payload: string): boolean {
    for (const packet of this.#parser.decodePayload(payload)) {
      if (packet.type === 'close') {
        this.onClose();
        return true;
      }
      this.onPacket(packet as never);
      // The last one: nothing behind it is decoded.
      if (packet.type === 'error') return false;
    }
    return true;
  }

  /**
   * Tells that the session ends, in an answer of its own: of packets beside it the stock client hands on none before it has
   * connected again, and asks for them once more.
   */
  #sendClose(onLastAnswer: () => void): void {
    this.send([{ type: 'close' }]);
    onLastAnswer();
  }

  /** Puts packets back before all that were written since, with the callbacks that wait for them to be sent. */
  #giveBack(packets: EnginePacket[], outbox: EngineSocketInside): void {
    putFirst(outbox.writeBuffer, packets);
    const callbacks = outbox.sentCallbackFn.pop();
    // The socket takes one entry for each answer.
    outbox.sentCallbackFn.push(null);
    if (callbacks) putFirst(outbox.packetsFn, callbacks);
  }

  #onPoll(req: PreparedRequest, res: GuardedResponse): void {
    if (this.#poll !== undefined) {
      res.refuse('overlapping_request');
      this.onError('overlap from client');
      return;
    }
    this.#poll = { req, res };
    res.onAborted(() => {
      if (this.#poll?.res !== res) return;
      this.#poll = undefined;
      this.writable = false;
      this.onError('poll connection closed prematurely');
    });
    this.writable = true;
    this.emit('ready');
    // Nothing was waiting, or it would not be writable any more.
    if (this.writable && this.#onLastAnswer !== undefined) this.#sendClose(this.#onLastAnswer);
  }

  #onPost(req: PreparedRequest, res: GuardedResponse): void {
    const refuse = (code: HttpErrorCode): void => {
      res.refuse(code, [['Cache-Control', 'no-store']]);
      this.onError(code);
    };
    if (this.#post !== undefined) {
      refuse('overlapping_request');
      return;
    }
    const body = new BodyReader(req.headers, this.maxHttpBufferSize);
    if (body.refusal !== undefined) {
      refuse(body.refusal);
      return;
    }
    this.#post = { res, body };
    let isOver = false;
    res.onAborted(() => {
      if (isOver) return;
      isOver = true;
      this.#post = undefined;
      this.onError('data request connection closed prematurely');
    });
    res.onData((chunk, isLast) => {
      const state = body.take(chunk, isLast);
      if (state === 'endless') {
        // Not inside this callback, which uWebSockets.js goes on calling for what it has read.
        setImmediate(() => {
          if (!isOver) res.close();
        });
      }
      if (state !== 'whole') return;
      isOver = true;
      this.#post = undefined;
      if (body.refusal !== undefined) {
        refuse(body.refusal);
        return;
      }
      if (this.readyState !== 'closed' && !this.#takePackets(body.text)) {
        res.refuse('bad_request', [['Cache-Control', 'no-store']]);
        return;
      }
      // A browser would offer an answer of type text/plain for download.
      this.#answer({ req, res }, 'text/html', 'ok');
    });
  }

  #answer({ req, res }: Exchange, type: string, body: string): void {
    const headers: Record<string, string> = { 'Content-Type': type, 'Cache-Control': 'no-store' };
    this.emit('headers', headers, req);
    res.cork(() => {
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
      res.end(body);
    });
  }
}
