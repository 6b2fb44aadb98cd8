import type { Logger } from 'pino';
import type { SubscribeAnswer, SubscribeErrorCode } from '../contract/events.js';
import { roomsOfClient } from '../contract/rooms.js';
import { MAX_TOPICS } from '../contract/topics.js';
import { messageOf } from '../errors.js';
import { type TopicChoice, chooseTopics } from '../access/topic-choice.js';
import type { FeedSocket } from '../websocket/feed-socket.js';
import { NOTHING_TAKEN, type Rate, take } from '../access/rate-limit.js';
import { GENERATIONS, type KeptTopics, type TopicStore } from './topic-store.js';

/** Requests of one client that may wait: for its replay to end, and for the store. */
const MAX_WAITING = 16;

/**
 * Topics that one client may change in a while: each is a room to join or to leave, and costs about as much as a message,
 * so that a handful of clients within all other limits could fill a core.
 */
const TOPIC_CHANGES: Rate = { perSecond: 512, burst: 4 * MAX_TOPICS };

const NO_TOPICS: ReadonlySet<string> = new Set();

/** Topics that one set has and the other has not. */
function differences(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  let both = 0;
  for (const topic of one) if (other.has(topic)) both++;
  return one.size + other.size - 2 * both;
}

/** Often enough that topics live for about their whole time after a pod that could not say goodbye. */
const RENEW_MS = 3_600_000;

/** Renewals sent in one turn of the loop. */
const RENEW_BATCH = 500;

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
  readonly #isShort: () => boolean;
  /**
   * Topics in force of the connected clients that have chosen them while connected. By connection and not by `pid`: a
   * dead one that was not noticed yet may have a successor on this pod.
   */
  readonly #chosen = new Map<FeedSocket, KeptTopics>();
  readonly #timer: NodeJS.Timeout;

  /**
   * @param checkpoint - the packet that tells a client where the journal is now
   * @param onAnswer - told of every answer
   * @param isShort - whether there is no memory for more topics: one takes some hundred bytes
   */
  constructor(
    store: TopicStore,
    checkpoint: () => string,
    onAnswer: (result: 'ok' | SubscribeErrorCode) => void,
    log: Logger,
    isShort: () => boolean,
  ) {
    this.#store = store;
    this.#checkpoint = checkpoint;
    this.#onAnswer = onAnswer;
    this.#log = log;
    this.#isShort = isShort;
    this.#timer = setInterval(() => void this.renew(), RENEW_MS).unref();
  }

  /**
   * Answers the `subscribe` of a client from now on.
   *
   * @param live - settles when the client has what it had missed, if it had to be sent that first: its topics change
   *   after that and not in the middle
   * @returns to be called when the client is gone
   */
  listen(socket: FeedSocket, live: Promise<void> | undefined): () => void {
    // A recovered client comes after one that may choose yet, even where nothing was kept.
    let { generation = socket.recovered ? GENERATIONS : 0 } = socket.data;
    const keepInForce = (): void => {
      const kept = { generation, topics: [...(socket.data.topics ?? [])] };
      this.#chosen.set(socket, kept);
      this.#keep(socket, kept);
    };
    let waiting = 0;
    let last = live;
    let paidAt = NOTHING_TAKEN;
    let asked = socket.data.topics ?? NO_TOPICS;
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
      if (choice.topics.size > (socket.data.topics?.size ?? 0) && this.#isShort()) {
        refuse('unavailable', 'this pod is short of memory and takes no more topics right now; ask again');
        return;
      }
      if (waiting >= MAX_WAITING) {
        refuse('busy', `${waiting} requests of this client are under way; wait for their answers`);
        return;
      }
      const paidUntil = take(TOPIC_CHANGES, paidAt, differences(asked, choice.topics), performance.now());
      if (paidUntil === undefined) {
        refuse('busy', 'too many topics are changed at once; wait a few seconds before you ask again');
        return;
      }
      paidAt = paidUntil;
      asked = choice.topics;
      const former = last;
      const carryOut = async (): Promise<void> => {
        await former;
        if (!socket.connected) return;
        const kept = { generation: ++generation, topics: [...choice.topics] };
        try {
          await this.#store.save(pidOf(socket), kept);
        } catch (error) {
          if (!socket.connected) return;
          // It may have been carried out all the same, or may yet be: what follows goes above it.
          generation++;
          keepInForce();
          refuse(
            'unavailable',
            `the topics can not be kept for a reconnect right now (${messageOf(error)}); ask again`,
          );
          return;
        }
        if (!socket.connected) return;
        this.#chosen.set(socket, kept);
        switchTo(socket, choice.topics);
        socket.conn.write(this.#checkpoint());
        answer({ ok: true, topics: kept.topics });
      };
      waiting++;
      last = carryOut()
        .catch((error: unknown) => this.#log.error({ sid: socket.id, err: error }, 'a subscribe failed'))
        .finally(() => waiting--);
    });
    // Chosen on an earlier connection, maybe on another pod: kept alive from here now.
    if (socket.data.generation !== undefined) {
      this.#chosen.set(socket, { generation, topics: [...(socket.data.topics ?? [])] });
    }
    return () => {
      // What was not answered does not hold, wherever it has got to.
      if (waiting > 0) generation++;
      // However it went: the stock client asks for its session even after a `disconnect()` of its own.
      if (waiting > 0 || this.#chosen.has(socket)) keepInForce();
      this.#chosen.delete(socket);
    };
  }

  /** Keeps the topics of all connected clients for another while: when time passes, or Redis may have lost them. */
  async renew(): Promise<void> {
    let sent = 0;
    for (const [socket, kept] of this.#chosen) {
      this.#keep(socket, kept);
      if (++sent % RENEW_BATCH === 0) await new Promise(setImmediate);
    }
  }

  /** Stops renewing. May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  #keep(socket: FeedSocket, kept: KeptTopics): void {
    this.#store.save(pidOf(socket), kept).catch((error: unknown) => {
      // The next renewal, or the return of the link, does it again, unless the client is on a newer connection.
      this.#log.debug({ reason: messageOf(error) }, 'topics could not be renewed');
    });
  }
}

/** The secret that the client recovers with. */
function pidOf(socket: FeedSocket): string {
  return (socket as unknown as { pid: string }).pid;
}

function choose(socket: FeedSocket, value: unknown): TopicChoice {
  if (value === undefined || typeof value === 'function') {
    return { ok: false, code: 'invalid_topics', message: 'send an array of topics: subscribe(["BTC/USDT"], ack)' };
  }
  return chooseTopics(value, socket.data.allowed);
}

/** Changes rooms in one go. New ones are joined first: a client that left its last room would lose what is still batched for it. */
function switchTo(socket: FeedSocket, topics: ReadonlySet<string>): void {
  const before = new Set(roomsOfClient(socket.data.topics ?? new Set(), socket.id));
  const after = roomsOfClient(topics, socket.id);
  socket.data.topics = topics;
  void socket.join(after.filter((room) => !before.delete(room)));
  for (const room of before) void socket.leave(room);
}
