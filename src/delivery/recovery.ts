import { type Offset, parseOffset } from '../contract/offset.js';
import type { GapReason, Resolution } from '../journal/journal.js';
import type { TopicStore } from './topic-store.js';

/** What a recovered client carries from its recovery to the handler of its connection. */
export interface RecoveredData {
  /** Where the client was; what it missed is sent from here. */
  resume?: Offset;
  /** Nobody can tell right now whether the client can be served: it has to reconnect. */
  retry?: true;
  /** Topics that the client had chosen while it was connected. */
  topics?: ReadonlySet<string>;
  /** Whether it has chosen topics while connected. */
  hasChosen?: boolean;
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

/** Tells whether a client that reconnects can be given what it missed, and from where. */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #refused = new Map<string, GapReason>();

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
   * Looks up where a client was.
   *
   * @param pid - the secret it recovers with, and `text` its offset; both are the client's word, and any strings
   * @returns `undefined` where it cannot be recovered
   */
  async restore(pid: string, text: string): Promise<RecoveredData | undefined> {
    const offset = parseOffset(text);
    if (offset === undefined || !PID_SHAPE.test(pid)) return undefined;
    const { resolve, claimTopics, onResult } = this.#options;
    let resolution: Resolution;
    let kept: Awaited<ReturnType<TopicStore['claim']>>;
    try {
      [resolution, kept] = await Promise.all([resolve(offset), claimTopics(pid)]);
    } catch {
      onResult('retry');
      return { retry: true };
    }
    // Whose topics are forgotten may have missed what they cover: no other answer is true.
    if (kept === 'forgotten') resolution = { ok: false, reason: 'expired' };
    onResult(resolution.ok ? 'recovered' : resolution.reason);
    if (resolution.ok) {
      const chosen = typeof kept === 'object' && { topics: new Set(kept.topics), generation: kept.generation };
      return { resume: offset, ...chosen };
    }
    if (this.#refused.size >= REMEMBERED) this.#refused.clear();
    this.#refused.set(text, resolution.reason);
    return undefined;
  }
}
