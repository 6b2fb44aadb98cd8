import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { KeptTopics, TopicStore } from './topic-store.js';

/** One connection of a client. */
interface Owner {
  /** The secret that the client recovers with. */
  readonly pid: string;
}

/** Often enough that topics live for about their whole time after a pod that could not say goodbye. */
const RENEW_EVERY_MS = 3_600_000;

/** Renewals sent in one turn of the loop. */
const RENEW_BATCH = 500;

/** Keeps the topics that connected clients have chosen while connected, for as long as they are connected. */
export class ChosenTopics {
  readonly #store: TopicStore;
  readonly #log: Logger;
  /**
   * What each connected client has active. By connection and not by `pid`: a dead connection that was not noticed yet may
   * have a successor on this pod.
   */
  readonly #active = new Map<Owner, KeptTopics>();
  readonly #timer: NodeJS.Timeout;

  constructor(store: TopicStore, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.#timer = setInterval(() => void this.renew(), RENEW_EVERY_MS).unref();
  }

  /** Whether a client has chosen any. */
  has(client: Owner): boolean {
    return this.#active.has(client);
  }

  /** Saves topics that are not active yet. @throws as `TopicStore.save` does */
  save(client: Owner, kept: KeptTopics): Promise<void> {
    return this.#store.save(client.pid, kept);
  }

  /** Notes topics that are saved as active: from now on they are renewed. */
  note(client: Owner, kept: KeptTopics): void {
    this.#active.set(client, kept);
  }

  /** Notes topics as active and saves them, soon. */
  keep(client: Owner, kept: KeptTopics): void {
    this.note(client, kept);
    this.#renewOne(client, kept);
  }

  /** Lets go of a client that is gone. What is saved stays. */
  forget(client: Owner): void {
    this.#active.delete(client);
  }

  /** Saves the topics of all connected clients again: when time passes, or Redis may have lost them. */
  async renew(): Promise<void> {
    let sent = 0;
    for (const [client, kept] of this.#active) {
      this.#renewOne(client, kept);
      if (++sent % RENEW_BATCH === 0) await new Promise(setImmediate);
    }
  }

  /** Stops renewing. May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  #renewOne(client: Owner, kept: KeptTopics): void {
    this.save(client, kept).catch((error: unknown) => {
      // The next renewal, or the return of the link, does it again, unless the client is on a newer connection.
      this.#log.debug({ reason: messageOf(error) }, 'topics could not be renewed');
    });
  }
}
