import { type ClientPlace, type Offset, parsePlace } from '../contract/offset.js';
import type { GapReason, Resolution } from '../journal/journal.js';
import type { TopicStore } from './topic-store.js';

/** What a recovered client carries from its recovery to the handler of its connection. */
export interface RecoveredData {
  /** Where the client was; what it missed is sent from here. */
  resume?: Offset;
  /** Whether it has chosen topics while connected, in the session that it continues. */
  hasChosen?: boolean;
  /** Nobody can tell right now whether the client can be served: it has to reconnect. */
  retry?: true;
  /** Topics that the client had chosen while it was connected; unset if it has not. */
  topics?: ReadonlySet<string>;
  /** First generation of this connection, where such {@link topics} are kept by the client's `pid`. */
  generation?: number;
}

/** What recovery asks. */
export interface RecoveryOptions {
  /** As in `Journal.resolve`. */
  readonly resolve: (offset: Offset) => Promise<Resolution>;
  readonly claimTopics: TopicStore['claim'];
  /** Called for every client that asks. */
  readonly onResult: (result: 'recovered' | GapReason | 'retry') => void;
}

const PID_SHAPE = /^[\w-]{1,64}$/;
/** Reasons remembered between the refusal and the connection that follows at once. */
const REMEMBERED = 10_000;

/** How long a client is held while nobody can tell, in ms. */
const HOLD_MS = 5000;
/** Clients held at most. */
const MAX_HELD = 10_000;

/**
 * Tells whether a client that reconnects can be given what it missed, and from where.
 *
 * A client that never chose topics while connected needs nothing but the journal: while the ring covers its place, Redis is
 * not asked. One that has chosen gets exactly the topics that were last acknowledged to it, or is not recovered
 * (docs/ordering.md).
 */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #refused = new Map<string, GapReason>();
  /** Wakes one held client each. */
  readonly #held = new Set<() => void>();

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Why a client that asked for recovery did not get it.
   *
   * @param offset - what it came with; anything, it is the client's word
   */
  reasonFor(offset: string): GapReason {
    return this.#refused.get(offset) ?? 'epoch';
  }

  /**
   * Looks up where a client was. While nobody can tell, it is held for a few seconds, and then has to reconnect.
   *
   * @param pid - the secret it recovers with, and `text` its place; both are the client's word, and any strings
   * @returns `undefined` where it cannot be recovered
   */
  async restore(pid: string, text: string): Promise<RecoveredData | undefined> {
    const place = parsePlace(text);
    if (place === undefined || !PID_SHAPE.test(pid)) return undefined;
    const giveUpAtMs = performance.now() + HOLD_MS;
    for (;;) {
      let found: RecoveredData | GapReason;
      try {
        found = await this.#look(pid, place);
      } catch {
        if (await this.#hold(giveUpAtMs)) continue;
        this.#options.onResult('retry');
        return { retry: true };
      }
      this.#options.onResult(typeof found === 'object' ? 'recovered' : found);
      if (typeof found === 'object') return found;
      if (this.#refused.size >= REMEMBERED) this.#refused.clear();
      this.#refused.set(text, found);
      return undefined;
    }
  }

  /** Looks again for those that are held: what was unreachable may be back. */
  wake(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const wake of held) wake();
  }

  /** @throws when nobody can tell */
  async #look(pid: string, { offset, hasChosen }: ClientPlace): Promise<RecoveredData | GapReason> {
    const resolution = await this.#options.resolve(offset);
    if (!resolution.ok) return resolution.reason;
    if (!hasChosen) return { resume: offset, hasChosen };
    const { generation, topics } = await this.#options.claimTopics(pid);
    // Whose topics are not known has missed what they cover, and must not pass for one that has them.
    return topics === undefined ? 'expired' : { resume: offset, hasChosen, generation, topics: new Set(topics) };
  }

  /** @returns whether to look again; `false` when it has taken too long, or too many are held */
  #hold(giveUpAtMs: number): Promise<boolean> {
    const leftMs = giveUpAtMs - performance.now();
    if (leftMs <= 0 || this.#held.size >= MAX_HELD) return Promise.resolve(false);
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#held.delete(wake);
        resolve(false);
      }, leftMs);
      this.#held.add(wake);
    });
  }
}
