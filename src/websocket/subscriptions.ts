import type { Logger } from 'pino';
import type { SubscribeAnswer, SubscribeErrorCode } from '../contract/events.js';
import { roomsOfClient } from '../contract/topics.js';
import { messageOf } from '../errors.js';
import { type TopicChoice, chooseTopics } from './entrance.js';
import type { FeedSocket } from './feed-socket.js';
import { TOPICS_TTL_MS, type TopicStore } from './topic-store.js';

/** Requests of one client that may wait: for its replay to end, and for the store. */
const MAX_WAITING = 16;

/** Long before the time to live is over, so that one failed renewal does no harm. */
const RENEW_MS = TOPICS_TTL_MS / 4;

/** Renewals sent in one turn of the loop. */
const RENEW_BATCH = 500;

/** After these the stock client does not try to recover. */
const FINAL_REASONS: ReadonlySet<string> = new Set(['client namespace disconnect', 'server namespace disconnect']);

/**
 * Carries out `subscribe`: a client replaces its topics while it is connected.
 *
 * The topics are kept first and switched then, in one turn of the loop: what was delivered before is by the old ones,
 * what follows is by the new ones, and no entry falls between. A `checkpoint` goes before the answer, so that a client
 * that recovers later is not sent what came before its choice.
 */
export class Subscriptions {
  readonly #store: TopicStore;
  readonly #checkpoint: () => string;
  readonly #onAnswer: (result: 'ok' | SubscribeErrorCode) => void;
  readonly #log: Logger;
  /** Topics of the connected clients that have chosen them while connected, by `pid`. */
  readonly #chosen = new Map<string, readonly string[]>();
  readonly #timer: NodeJS.Timeout;

  /**
   * @param checkpoint - the packet that tells a client where the journal is now
   * @param onAnswer - told of every answer
   */
  constructor(
    store: TopicStore,
    checkpoint: () => string,
    onAnswer: (result: 'ok' | SubscribeErrorCode) => void,
    log: Logger,
  ) {
    this.#store = store;
    this.#checkpoint = checkpoint;
    this.#onAnswer = onAnswer;
    this.#log = log;
    this.#timer = setInterval(() => void this.renew(), RENEW_MS).unref();
  }

  /**
   * Answers the `subscribe` of a client from now on.
   *
   * @param live - settles when the client has what it had missed, if it had to be sent that first: its topics change
   *   after that and not in the middle
   */
  listen(socket: FeedSocket, live: Promise<void> | undefined): void {
    const { pid } = socket as unknown as { pid: string };
    let waiting = 0;
    let last = live;
    socket.on('subscribe', (value, ack) => {
      // The client's word: the answer may be asked for in the place of the topics, or not at all.
      const reply: unknown = typeof value === 'function' ? value : ack;
      const answer = (text: SubscribeAnswer): void => {
        this.#onAnswer(text.ok ? 'ok' : text.error.code);
        if (typeof reply === 'function') (reply as (text: SubscribeAnswer) => void)(text);
      };
      const refuse = (code: SubscribeErrorCode, message: string): void =>
        answer({ ok: false, error: { code, message } });
      const choice = choose(socket, value);
      if (!choice.ok) {
        refuse(choice.code, choice.message);
        return;
      }
      if (waiting >= MAX_WAITING) {
        refuse('busy', `${waiting} requests of this client are under way; wait for their answers`);
        return;
      }
      const former = last;
      const carryOut = async (): Promise<void> => {
        await former;
        const topics = [...choice.topics];
        try {
          await this.#store.save(pid, topics);
        } catch (error) {
          refuse(
            'unavailable',
            `the topics can not be kept for a reconnect right now (${messageOf(error)}); ask again`,
          );
          return;
        }
        if (!socket.connected) return;
        this.#chosen.set(pid, topics);
        switchTo(socket, choice.topics);
        socket.conn.write(this.#checkpoint());
        answer({ ok: true, topics });
      };
      waiting++;
      last = carryOut()
        .catch((error: unknown) => this.#log.error({ sid: socket.id, err: error }, 'a subscribe failed'))
        .finally(() => waiting--);
    });
    socket.on('disconnect', (reason) => {
      const topics = this.#chosen.get(pid);
      this.#chosen.delete(pid);
      if (FINAL_REASONS.has(reason)) {
        if (topics !== undefined) void this.#store.drop(pid);
      } else if (topics !== undefined) {
        this.#keep(pid, topics);
      }
    });
    // Chosen on an earlier connection, maybe on another pod: kept alive from here now.
    if (socket.data.chosen === true) this.#chosen.set(pid, [...(socket.data.topics ?? [])]);
  }

  /** Keeps the topics of all connected clients for another while: when time passes, or Redis may have lost them. */
  async renew(): Promise<void> {
    let sent = 0;
    for (const [pid, topics] of this.#chosen) {
      this.#keep(pid, topics);
      if (++sent % RENEW_BATCH === 0) await new Promise(setImmediate);
    }
  }

  /** Stops renewing. May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  #keep(pid: string, topics: readonly string[]): void {
    this.#store.save(pid, topics).catch((error: unknown) => {
      // The next renewal, or the return of the link, does it again.
      this.#log.debug({ reason: messageOf(error) }, 'topics could not be renewed');
    });
  }
}

function choose(socket: FeedSocket, value: unknown): TopicChoice {
  if (value === undefined || typeof value === 'function') {
    return { ok: false, code: 'invalid_topics', message: 'send an array of topics: subscribe(["BTC/USDT"], ack)' };
  }
  return chooseTopics(value, socket.data.allowed);
}

/** Changes rooms in one go. New ones are joined first: a client that left its last room would lose what is still batched for it. */
function switchTo(socket: FeedSocket, topics: ReadonlySet<string>): void {
  const before = new Set(roomsOfClient(socket.data.topics ?? new Set()));
  const after = roomsOfClient(topics);
  socket.data.topics = topics;
  void socket.join(after.filter((room) => !before.delete(room)));
  for (const room of before) void socket.leave(room);
}
