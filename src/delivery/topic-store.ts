/** Topics that a client has chosen while connected. */
export interface KeptTopics {
  /** Grows with every connection of the client and with every choice on one; see {@link GENERATIONS}. */
  readonly generation: number;
  readonly topics: readonly string[];
}

/** What a new connection takes over. */
export interface ClaimedTopics {
  /** The first generation of the new connection. */
  readonly generation: number;
  /** What was last kept; `undefined` when nobody knows it: never kept, over, forgotten for room, or maybe not the last. */
  readonly topics: readonly string[] | undefined;
}

/**
 * Keeps the topics that clients have chosen while connected, by the secret that Socket.IO's recovery knows them by
 * (`pid`), so that they survive a reconnect.
 *
 * A connection whose link is dead may be noticed long after the client has reconnected, maybe to another pod, and chosen
 * again. So what is kept has a generation, and an older one never takes the place of a newer one.
 *
 * What is kept is limited in bytes and in time; what would end first goes first. A client that has chosen says so itself when
 * it reconnects (`ClientPlace`), so what was forgotten never passes for "never chose".
 */
export interface TopicStore {
  /**
   * Keeps the topics of a client, in place of those of the same generation or an older one. They are kept for at least
   * `ttlMs` from now, if there is room.
   *
   * @param ttlMs - {@link BRIEF_TTL_MS} or {@link LONG_TTL_MS}
   * @throws when they cannot be kept, or newer ones are
   */
  save(pid: string, kept: KeptTopics, ttlMs: number): Promise<void>;

  /**
   * Takes over the topics of a client for a new connection. Whatever an earlier connection saves from now on is refused.
   *
   * @throws when nobody can tell
   */
  claim(pid: string): Promise<ClaimedTopics>;
}

/** Generations of one connection: more than it can choose. A double counts two million connections of them. */
export const GENERATIONS = 2 ** 32;

/** How long topics outlive a client that was connected for less than {@link SETTLED_AFTER_MS}. */
export const BRIEF_TTL_MS = 5 * 60_000;

/** How long topics outlive any other client. It should be longer than the journal reaches back. */
export const LONG_TTL_MS = 24 * 3_600_000;

/** Visitors that come and go cost a store next to nothing: only who stays that long is kept for long. */
export const SETTLED_AFTER_MS = 60_000;

/** Bytes that all kept topics take together at most. */
export const MAX_KEPT_BYTES = 16 * 1024 * 1024;

/** Why a store refuses. */
export const NEWER_IS_KEPT = 'a newer connection of this client has topics';
