import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import { type Offset, parseOffset } from '../contract/offset.js';
import type { GapReason, Resolution } from '../journal/journal.js';
import type { AdapterFactory } from './adapter.js';
import { sessionId } from './handshake.js';
import type { TopicStore } from './topic-store.js';

/** What a recovered socket carries from the adapter to the connection handler. */
export interface RecoveredData {
  /** Where the client was; what it missed is sent from here. */
  resume?: Offset;
  /** Nobody can tell right now whether the client can be served: let it come again. */
  retry?: true;
  /** Topics that the client had chosen while it was connected. */
  topics?: ReadonlySet<string>;
  /** First generation of this connection, where such {@link topics} are kept by the client's `pid`. */
  generation?: number;
}

const PID_SHAPE = /^[\w-]{1,64}$/;
/** Reasons remembered between the refusal and the connection that follows at once. */
const REMEMBERED = 10_000;

/**
 * Recovery through Socket.IO's own protocol, from the journal.
 *
 * Socket.IO asks the adapter to restore a session when a client comes with `auth.pid` and `auth.offset`. The session given
 * back has no rooms and no packets: on uWebSockets.js rooms joined that early never become subscriptions, and the missed
 * entries are sent by the connection handler, paced, until the client may join its rooms.
 */
export class Recovery {
  readonly #resolve: (offset: Offset) => Promise<Resolution>;
  readonly #claimTopics: TopicStore['claim'];
  readonly #onResult: (result: 'recovered' | GapReason | 'retry') => void;
  readonly #refused = new Map<string, GapReason>();

  /**
   * @param resolve - as in `Journal.resolve`
   * @param claimTopics - as in `TopicStore.claim`
   */
  constructor(
    resolve: (offset: Offset) => Promise<Resolution>,
    claimTopics: TopicStore['claim'],
    onResult: (result: 'recovered' | GapReason | 'retry') => void,
  ) {
    this.#resolve = resolve;
    this.#claimTopics = claimTopics;
    this.#onResult = onResult;
  }

  /** An adapter factory whose adapters recover sessions. */
  extend(base: AdapterFactory): AdapterFactory {
    const restoreSession = (pid: string, offset: string): Promise<unknown> => this.#restore(pid, offset);
    // What is kept of a session is the journal's, not the adapter's.
    const own = {
      restoreSession,
      persistSession: () => {},
      // The sharded adapter would end every broadcast in an offset of its own, which the client would take for ours.
      addOffsetIfNecessary: () => {},
    };
    // Socket.IO calls it with `new`, which an arrow function refuses.
    return function recoverable(namespace: Namespace): Adapter {
      return Object.assign(base(namespace), own);
    };
  }

  /**
   * Why a client that asked for recovery did not get it.
   *
   * @param offset - what it came with; anything, it is the client's word
   */
  reasonFor(offset: string): GapReason {
    return this.#refused.get(offset) ?? 'epoch';
  }

  async #restore(pid: string, text: string): Promise<unknown> {
    const offset = parseOffset(text);
    // Both are the client's word: Socket.IO has only checked that they are strings.
    if (offset === undefined || !PID_SHAPE.test(pid)) return null;
    let resolution: Resolution;
    let kept: Awaited<ReturnType<TopicStore['claim']>>;
    try {
      [resolution, kept] = await Promise.all([this.#resolve(offset), this.#claimTopics(pid)]);
    } catch {
      this.#onResult('retry');
      return this.#session(pid, { retry: true });
    }
    // Whose topics are forgotten may have missed what they cover: no other answer is true.
    if (kept === 'forgotten') resolution = { ok: false, reason: 'expired' };
    this.#onResult(resolution.ok ? 'recovered' : resolution.reason);
    if (resolution.ok) {
      const chosen = typeof kept === 'object' && { topics: new Set(kept.topics), generation: kept.generation };
      return this.#session(pid, { resume: offset, ...chosen });
    }
    if (this.#refused.size >= REMEMBERED) this.#refused.clear();
    this.#refused.set(text, resolution.reason);
    return null;
  }

  #session(pid: string, data: RecoveredData): unknown {
    // A new sid: the client takes over whatever it is told, and two connections never share one.
    return { sid: sessionId(), pid, rooms: [], missedPackets: [], data };
  }
}
