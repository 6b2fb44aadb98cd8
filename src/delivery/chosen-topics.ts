import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import {
  BRIEF_TTL_MS,
  type ClaimedTopics,
  type KeptTopics,
  LONG_TTL_MS,
  NEWER_IS_KEPT,
  SETTLED_AFTER_MS,
  type TopicStore,
} from './topic-store.js';

/** One connection of a client. */
export interface Owner {
  /** The secret that the client recovers with. */
  readonly pid: string;
  /** When the connection began, on the clock of `performance.now()`. */
  readonly connectedAtMs: number;
}

/** What an owner has active, and when it is to be saved again. */
interface Active {
  readonly kept: KeptTopics;
  readonly dueMs: number;
}

/** Topics of a client that is gone, which could not be saved. */
interface Unsaved {
  readonly kept: KeptTopics;
  readonly ttlMs: number;
}

/** Often enough that topics live for about their whole time after a pod that could not say goodbye. */
const RENEW_EVERY_MS = 3_600_000;

/** How often it is checked who is due. */
const CHECK_EVERY_MS = 10_000;

/** Renewals sent in one turn of the loop. */
const RENEW_BATCH = 500;

/** Topics of clients that are gone, held until they can be saved; some 60 bytes each. */
const MAX_UNSAVED_TOPICS = 100_000;

/** Keeps the topics that connected clients have chosen while connected, for as long as they are connected. */
export class ChosenTopics {
  readonly #store: TopicStore;
  readonly #log: Logger;
  /**
   * What each connected client has active. By connection and not by `pid`: a dead connection that was not noticed yet may
   * have a successor on this pod.
   */
  readonly #active = new Map<Owner, Active>();
  /** By `pid`, oldest first. */
  readonly #unsaved = new Map<string, Unsaved>();
  #unsavedTopics = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(store: TopicStore, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.#timer = setInterval(() => this.#renewDue(), CHECK_EVERY_MS).unref();
  }

  /** Whether a client has chosen any. */
  has(client: Owner): boolean {
    return this.#active.has(client);
  }

  /** As {@link TopicStore.claim}. */
  claim(client: Owner): Promise<ClaimedTopics> {
    return this.#store.claim(client.pid);
  }

  /** Saves topics that are not active yet. @throws as `TopicStore.save` does */
  save(client: Owner, kept: KeptTopics): Promise<void> {
    return this.#store.save(client.pid, kept, ttlOf(client));
  }

  /** Notes topics that are saved as active: from now on they are renewed. */
  note(client: Owner, kept: KeptTopics): void {
    const nowMs = performance.now();
    const settlesMs = client.connectedAtMs + SETTLED_AFTER_MS;
    this.#active.set(client, { kept, dueMs: settlesMs > nowMs ? settlesMs : nowMs + RENEW_EVERY_MS });
  }

  /** Notes topics as active and saves them, soon. */
  keep(client: Owner, kept: KeptTopics): void {
    this.note(client, kept);
    this.#renewOne(client, kept);
  }

  /** Lets go of a client that is gone, with what it has active; that is saved once more, now or when the store can be reached. */
  end(client: Owner, kept: KeptTopics): void {
    this.#active.delete(client);
    this.#saveLast(client.pid, { kept, ttlMs: ttlOf(client) });
  }

  /** Saves the topics of all connected clients again: Redis may have lost them, or have older ones in their place. */
  async renew(): Promise<void> {
    await this.saveUnsaved();
    let sent = 0;
    for (const [client, { kept }] of this.#active) {
      this.#renewOne(client, kept);
      if (++sent % RENEW_BATCH === 0) await new Promise(setImmediate);
    }
  }

  /**
   * Tries again to save the topics of clients that left while the store was unreachable. Resolves when all have been
   * sent: what asks for them afterwards finds them.
   */
  async saveUnsaved(): Promise<void> {
    const unsaved = [...this.#unsaved];
    this.#unsaved.clear();
    this.#unsavedTopics = 0;
    let sent = 0;
    for (const [pid, last] of unsaved) {
      this.#saveLast(pid, last);
      if (++sent % RENEW_BATCH === 0) await new Promise(setImmediate);
    }
  }

  /** Stops renewing. May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  #renewDue(): void {
    const nowMs = performance.now();
    let sent = 0;
    for (const [client, { kept, dueMs }] of this.#active) {
      if (dueMs > nowMs) continue;
      this.keep(client, kept);
      // The others are still due the next time.
      if (++sent === RENEW_BATCH) return;
    }
  }

  #renewOne(client: Owner, kept: KeptTopics): void {
    this.save(client, kept).catch((error: unknown) => {
      // The next renewal, or the return of the link, does it again, unless the client is on a newer connection.
      this.#log.debug({ reason: messageOf(error) }, 'topics could not be renewed');
    });
  }

  #saveLast(pid: string, last: Unsaved): void {
    this.#store.save(pid, last.kept, last.ttlMs).catch((error: unknown) => {
      if (messageOf(error) === NEWER_IS_KEPT) return;
      this.#forgetUnsaved(pid);
      this.#unsaved.set(pid, last);
      this.#unsavedTopics += last.kept.topics.length + 1;
      for (const oldest of this.#unsaved.keys()) {
        if (this.#unsavedTopics <= MAX_UNSAVED_TOPICS) return;
        this.#forgetUnsaved(oldest);
      }
    });
  }

  #forgetUnsaved(pid: string): void {
    const unsaved = this.#unsaved.get(pid);
    if (unsaved === undefined) return;
    this.#unsaved.delete(pid);
    this.#unsavedTopics -= unsaved.kept.topics.length + 1;
  }
}

function ttlOf(client: Owner): number {
  return performance.now() - client.connectedAtMs < SETTLED_AFTER_MS ? BRIEF_TTL_MS : LONG_TTL_MS;
}
