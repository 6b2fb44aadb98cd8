import type { Logger } from 'pino';
import { NOTHING_TAKEN, Rate } from '../access/rate-limit.js';
import { type TopicChoice, chooseTopics } from '../access/topic-choice.js';
import type { SubscribeAnswer, SubscribeErrorCode } from '../contract/events.js';
import { MAX_TOPICS } from '../contract/topics.js';
import { messageOf } from '../errors.js';
import { UNREAD } from '../access/reading-rate.js';
import type { ChosenTopics, Owner } from './chosen-topics.js';
import type { KeptTopics } from './topic-store.js';

/** A client that may change its topics, as a door shows it. */
export interface Subscriber {
  /** Names it in the log. */
  readonly id: string;
  /** The secret that it recovers with. */
  readonly pid: string;
  /** All topics that its token allows; `undefined` allows everything. */
  readonly allowed: ReadonlySet<string> | undefined;
  /** The topics that are active. */
  readonly topics: ReadonlySet<string>;
  /**
   * Makes other topics active and sends the client a packet. MUST do all of it in the same turn of the loop: what was
   * delivered before is by the old topics, what follows the packet is by the new ones, and no entry falls between.
   */
  switchTo(topics: ReadonlySet<string>, packet: string): void;
}

/** What the subscriptions of all clients share. */
export interface SubscriptionServices {
  readonly chosen: ChosenTopics;
  /** The packet that tells a client where the journal is now. */
  readonly checkpoint: () => string;
  /** Called for every answer. */
  readonly onAnswer: (result: 'ok' | SubscribeErrorCode) => void;
  /** Whether there is no memory for more topics: one takes some hundred bytes. */
  readonly isShort: () => boolean;
  readonly log: Logger;
}

/** What a client's connection begins with. */
export interface SubscriptionStart {
  /** First generation of the connection, if topics from an earlier one were taken over. */
  readonly generation: number | undefined;
  /** Whether it follows an earlier connection, which may still choose. */
  readonly isRecovered: boolean;
  /**
   * Settles when the client has what it missed, if that has to be sent first: its topics change after that and not in the
   * middle.
   */
  readonly live: Promise<void> | undefined;
}

/** Requests of one client that may wait: for its replay to end, and for the store. */
const MAX_WAITING = 16;

/**
 * Topics that one client may change in a while: each is a room to join or to leave, and costs about as much as a message,
 * so that a handful of clients within all other limits could fill a core.
 */
const TOPIC_CHANGES = new Rate(512, 4 * MAX_TOPICS);

type Reply = (answer: SubscribeAnswer) => void;

/**
 * Carries out the `subscribe` of one client: it replaces its topics while it is connected.
 *
 * The topics are kept first and switched then. A `checkpoint` goes before the answer, so that a client that recovers
 * later is not sent what came before its choice.
 */
export class Subscription implements Owner {
  readonly connectedAtMs = performance.now();
  readonly #client: Subscriber;
  readonly #services: SubscriptionServices;
  /** `undefined`: above whatever an earlier connection has kept, which is not known yet. */
  #generation: number | undefined;
  #waiting = 0;
  /** The request before the next one, or the replay. */
  #last: Promise<void> | undefined;
  #paidAtMs = NOTHING_TAKEN;
  #asked: ReadonlySet<string>;
  #isOver = false;

  constructor(client: Subscriber, services: SubscriptionServices, start: SubscriptionStart) {
    this.#client = client;
    this.#services = services;
    this.#generation = start.generation ?? (start.isRecovered ? undefined : 0);
    this.#last = start.live;
    this.#asked = client.topics;
    // Chosen on an earlier connection, maybe on another pod: kept alive from here now.
    if (start.generation !== undefined) {
      services.chosen.note(this, { generation: start.generation, topics: [...client.topics] });
    }
  }

  get pid(): string {
    return this.#client.pid;
  }

  /**
   * Asks for other topics.
   *
   * @param value - the client's word: anything
   * @param reply - called once, unless the client goes first
   */
  request(value: unknown, reply: Reply): void {
    if (value === UNREAD) {
      this.#refuse(reply, 'busy', 'too many long messages at once; wait a few seconds before you ask again');
      return;
    }
    const choice = choose(value, this.#client.allowed);
    if (!choice.ok) {
      this.#refuse(reply, choice.code, choice.message);
      return;
    }
    const { topics } = choice;
    if (topics.size > this.#client.topics.size && this.#services.isShort()) {
      this.#refuse(reply, 'unavailable', 'this pod is short of memory and takes no more topics right now; ask again');
      return;
    }
    if (this.#waiting >= MAX_WAITING) {
      const message = `${this.#waiting} requests of this client are under way; wait for their answers`;
      this.#refuse(reply, 'busy', message);
      return;
    }
    const paidAtMs = TOPIC_CHANGES.take(this.#paidAtMs, differences(this.#asked, topics), performance.now());
    if (paidAtMs === undefined) {
      this.#refuse(reply, 'busy', 'too many topics are changed at once; wait a few seconds before you ask again');
      return;
    }
    this.#paidAtMs = paidAtMs;
    this.#asked = topics;
    this.#waiting++;
    this.#last = this.#carryOut(topics, reply, this.#last)
      .catch((error: unknown) => this.#services.log.error({ sid: this.#client.id, err: error }, 'a subscribe failed'))
      .finally(() => this.#waiting--);
  }

  /** To be called when the client is gone. */
  end(): void {
    this.#isOver = true;
    const { chosen } = this.#services;
    // One that never chose has its topics from its connect, whatever was kept of a choice that was not answered.
    if (this.#generation === undefined || !chosen.has(this)) return;
    // What was not answered does not hold, however far it got.
    if (this.#waiting > 0) this.#generation++;
    // However it went: the stock client asks for its session even after a `disconnect()` of its own.
    chosen.end(this, { generation: this.#generation, topics: [...this.#client.topics] });
  }

  /** Stores first, then changes rooms, checkpoint and answer in one turn, one request after the other (docs/ordering.md). */
  async #carryOut(topics: ReadonlySet<string>, reply: Reply, former: Promise<void> | undefined): Promise<void> {
    await former;
    if (this.#isOver) return;
    const { chosen, checkpoint } = this.#services;
    let kept: KeptTopics;
    try {
      this.#generation ??= (await chosen.claim(this)).generation;
      if (this.#isOver) return;
      kept = { generation: ++this.#generation, topics: [...topics] };
      await chosen.save(this, kept);
    } catch (error) {
      if (this.#isOver) return;
      this.#onUnsaved();
      const message = `the topics cannot be kept for a reconnect right now (${messageOf(error)}); ask again`;
      this.#refuse(reply, 'unavailable', message);
      return;
    }
    if (this.#isOver) return;
    chosen.note(this, kept);
    this.#client.switchTo(topics, checkpoint());
    this.#answer(reply, { ok: true, topics: kept.topics });
  }

  /** Keeps the topics that are active in place of some that may have been saved anyway, or may still be. */
  #onUnsaved(): void {
    const { chosen } = this.#services;
    if (this.#generation === undefined) return;
    this.#generation++;
    if (chosen.has(this)) chosen.keep(this, { generation: this.#generation, topics: [...this.#client.topics] });
  }

  #refuse(reply: Reply, code: SubscribeErrorCode, message: string): void {
    this.#answer(reply, { ok: false, error: { code, message } });
  }

  #answer(reply: Reply, answer: SubscribeAnswer): void {
    this.#services.onAnswer(answer.ok ? 'ok' : answer.error.code);
    reply(answer);
  }
}

/** Topics that one set has and the other has not. */
function differences(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  let both = 0;
  for (const topic of one) if (other.has(topic)) both++;
  return one.size + other.size - 2 * both;
}

function choose(value: unknown, allowed: ReadonlySet<string> | undefined): TopicChoice {
  if (value !== undefined) return chooseTopics(value, allowed);
  return { ok: false, code: 'invalid_topics', message: 'send an array of topics: subscribe(["BTC/USDT"], ack)' };
}
