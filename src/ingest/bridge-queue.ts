import type { FeedMessage } from '../contract/decode.js';
import { nameOfMessage } from '../contract/message-name.js';
import { WaitingNames } from './waiting-names.js';

/** A message heard on Pub/Sub and not yet known to be in the journal. */
export interface QueuedMessage {
  /** Random; the entry carries it if this pod appends it. */
  readonly id: string;
  readonly message: FeedMessage;
  /** After that it is too old to be appended, on the clock that all times of the queue are on. */
  readonly expiresAtMs: number;
}

/** The part of a journal entry that is compared with what was heard. */
export interface SeenEntry {
  readonly id: string;
  readonly event: string;
  readonly json: string;
  /** Of one that was deleted before this pod read it, in place of the text: `nameOfMessage`. */
  readonly name?: string;
}

interface Item extends QueuedMessage {
  readonly key: string;
  /** When it was heard. */
  readonly atMs: number;
  /** Characters of JSON. */
  readonly size: number;
  /** Nobody appends it any more, and it was counted; it stays while it may yet come out of the journal. */
  isGivenUp: boolean;
}

/** Limits of the queue. */
export interface BridgeQueueLimits {
  readonly maxItems: number;
  /** Characters of JSON. */
  readonly maxSize: number;
  /** A message that nobody has appended by then is not appended any more, and dropped. */
  readonly heardForMs: number;
  /** An entry whose message was not heard by then was published while this pod did not listen. */
  readonly seenForMs: number;
}

const DEFAULT_LIMITS: BridgeQueueLimits = {
  maxItems: 100_000,
  maxSize: 128 * 1024 * 1024,
  heardForMs: 30_000,
  seenForMs: 10_000,
};

/** A pod that lacks some of what another has heard lacks the oldest: a few names are enough. */
const MAX_NAMED = 100;

function keyOf(event: string, json: string): string {
  return `${event} ${json}`;
}

function nameOf({ event, json }: FeedMessage): string {
  return nameOfMessage(event, json);
}

/** Notes when an entry was seen. */
function note(ahead: Map<string, number[]>, key: string, nowMs: number): void {
  const times = ahead.get(key);
  if (times === undefined) ahead.set(key, [nowMs]);
  else times.push(nowMs);
}

/** Whether a message was seen before it was heard; one such entry is used up by it. */
function takeOne(ahead: Map<string, number[]>, key: string): boolean {
  const times = ahead.get(key);
  if (times === undefined) return false;
  times.shift();
  if (times.length === 0) ahead.delete(key);
  return true;
}

/**
 * What a pod has heard on Pub/Sub, less what it has seen in the journal.
 *
 * Every pod keeps one, so that any of them can take the bridge over and append just what is missing, in the order
 * heard. Entries and messages come on two connections, in either order, so each is matched with the other: by the id
 * this pod gave it, otherwise by content, first come first matched. Two equal messages in a row stay two messages.
 */
export class BridgeQueue {
  readonly #limits: BridgeQueueLimits;
  readonly #newId: () => string;
  /** In the order heard. */
  readonly #items = new Map<string, Item>();
  readonly #byContent = new Map<string, Item[]>();
  /** Entries seen before their message was heard: when. */
  readonly #ahead = new Map<string, number[]>();
  /** The same by name, for entries whose text is deleted. What is heard is named only while there are some. */
  readonly #aheadByName = new Map<string, number[]>();
  /** Made when a deleted entry is looked for, dropped when nothing waits. */
  #names: WaitingNames<Item[]> | undefined;
  /** When messages were heard that this pod has appended and not yet seen, by id. */
  readonly #appended = new Map<string, number>();
  /** When messages of this queue were dropped, by id: an append of one may come to light later. */
  readonly #expired = new Map<string, number>();
  #size = 0;
  /** How many of the items are given up: the oldest. */
  #givenUp = 0;
  /** When the newest message that has come out of the journal was heard. */
  #newestMatchedMs = 0;

  constructor(newId: () => string, limits: Partial<BridgeQueueLimits> = {}) {
    this.#newId = newId;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Messages that wait. */
  get length(): number {
    return this.#items.size - this.#givenUp;
  }

  /**
   * Notes a message from Pub/Sub.
   *
   * @param nowMs - on the clock that all times of this queue are on
   * @returns how many messages were dropped because the queue is full
   */
  heard(message: FeedMessage, nowMs: number): number {
    const key = keyOf(message.event, message.json);
    // By name where it was deleted before it was heard, so that a later holder does not bring it back.
    if (takeOne(this.#ahead, key)) return 0;
    if (this.#aheadByName.size > 0 && takeOne(this.#aheadByName, nameOf(message))) return 0;
    const expiresAtMs = nowMs + this.#limits.heardForMs;
    const item: Item = {
      id: this.#newId(),
      message,
      key,
      atMs: nowMs,
      expiresAtMs,
      size: message.json.length,
      isGivenUp: false,
    };
    this.#items.set(item.id, item);
    const same = this.#byContent.get(key);
    if (same === undefined) {
      const group = [item];
      this.#byContent.set(key, group);
      this.#names?.add(group);
    } else same.push(item);
    this.#size += item.size;
    let dropped = 0;
    while (this.#items.size > this.#limits.maxItems || (this.#items.size > 1 && this.#size > this.#limits.maxSize)) {
      const [oldest] = this.#items.values();
      if (oldest === undefined) break;
      if (!oldest.isGivenUp) dropped++;
      this.#remove(oldest);
    }
    return dropped;
  }

  /**
   * Notes an entry that a bridge has appended, as it comes out of the journal.
   *
   * @returns when its message was heard; `undefined` if it was not yet
   */
  seen(entry: SeenEntry, nowMs: number): number | undefined {
    const own = this.#appended.get(entry.id);
    if (own !== undefined) {
      this.#appended.delete(entry.id);
      return own;
    }
    // Else it would be taken for the next message with the same text.
    if (this.#expired.delete(entry.id)) return undefined;
    const { name } = entry;
    const key = name ?? keyOf(entry.event, entry.json);
    const equal = (): Item | undefined => (name === undefined ? this.#byContent.get(key)?.[0] : this.#firstNamed(name));
    const item = this.#items.get(entry.id) ?? equal();
    if (item !== undefined) {
      this.#newestMatchedMs = Math.max(this.#newestMatchedMs, item.atMs);
      this.#remove(item);
      return item.atMs;
    }
    note(name === undefined ? this.#ahead : this.#aheadByName, key, nowMs);
    return undefined;
  }

  /** Forgets what was heard and waits: this pod can no longer tell what of it is in the journal. */
  forgetHeard(): void {
    this.#items.clear();
    this.#byContent.clear();
    this.#names = undefined;
    this.#size = 0;
    this.#givenUp = 0;
  }

  /**
   * Forgets entries whose messages this pod can no longer hear. One that stayed would take the next message with the same
   * text for its own.
   *
   * @param untilMs - those seen later may still be matched
   */
  forgetSeen(untilMs: number): void {
    for (const ahead of [this.#ahead, this.#aheadByName]) {
      for (const [key, times] of ahead) {
        const young = times.filter((atMs) => atMs > untilMs);
        if (young.length === 0) ahead.delete(key);
        else if (young.length < times.length) ahead.set(key, young);
      }
    }
  }

  /**
   * Whether a message waits that the holder of the lease cannot have heard.
   *
   * @param passedOverMs - how long it must have waited while later ones are in the journal already
   * @param forgottenMs - how long it must have waited otherwise
   */
  isLeftOut(nowMs: number, passedOverMs: number, forgottenMs: number): boolean {
    const oldest = this.#oldest();
    if (oldest === undefined) return false;
    return nowMs - oldest.atMs > (oldest.atMs < this.#newestMatchedMs ? passedOverMs : forgottenMs);
  }

  /** When the message that has waited longest was heard; `undefined` if none waits. */
  get waitingSinceMs(): number | undefined {
    return this.#oldest()?.atMs;
  }

  /** Names of the oldest messages that wait and were heard before a time; at most {@link MAX_NAMED}. */
  heardBefore(timeMs: number): string[] {
    const names: string[] = [];
    for (const { message, atMs, isGivenUp } of this.#items.values()) {
      if (isGivenUp) continue;
      if (atMs >= timeMs || names.length >= MAX_NAMED) break;
      names.push(nameOf(message));
    }
    return names;
  }

  /** Whether for each of these names, given by any pod, a message waits here too. */
  waits(names: readonly string[]): boolean {
    const wanted = new Map<string, number>();
    for (const name of names) wanted.set(name, (wanted.get(name) ?? 0) + 1);
    for (const { message } of this.#items.values()) {
      if (wanted.size === 0) break;
      const name = nameOf(message);
      const count = wanted.get(name);
      if (count === 1) wanted.delete(name);
      else if (count !== undefined) wanted.set(name, count - 1);
    }
    return wanted.size === 0;
  }

  /**
   * The first messages that wait and are not too old; they stay in the queue until {@link appended} or {@link seen}.
   *
   * @param nowMs - left out: however old
   */
  first(limit: number, nowMs = -Infinity): QueuedMessage[] {
    const batch: QueuedMessage[] = [];
    for (const item of this.#items.values()) {
      if (batch.length >= limit) break;
      if (item.expiresAtMs >= nowMs) batch.push(item);
    }
    return batch;
  }

  /** Notes that this pod's append of these messages was confirmed. */
  appended(batch: readonly QueuedMessage[]): void {
    for (const { id } of batch) {
      const item = this.#items.get(id);
      // It may have come out of the journal before the confirmation came.
      if (item === undefined) continue;
      this.#remove(item);
      this.#appended.set(id, item.atMs);
    }
  }

  /**
   * Gives up what is too old. It no longer waits, but is kept to be recognised, since it may yet come out of the journal.
   *
   * @param graceMs - for so long it waits, though nobody appends it any more
   * @returns how many messages were given up that nobody is known to have appended
   */
  giveUp(nowMs: number, graceMs = 0): number {
    let count = 0;
    for (const item of this.#items.values()) {
      if (item.expiresAtMs + graceMs >= nowMs) break;
      if (item.isGivenUp) continue;
      item.isGivenUp = true;
      count++;
    }
    this.#givenUp += count;
    return count;
  }

  /**
   * Drops what is too old; for a pod that has read the journal to its end.
   *
   * @param graceMs - for so long it stays, though nobody appends it any more: it may yet come out of the journal
   * @returns how many messages were dropped that were not given up before, and that nobody is known to have appended
   */
  expire(nowMs: number, graceMs = 0): number {
    let dropped = 0;
    for (const item of this.#items.values()) {
      if (item.expiresAtMs + graceMs >= nowMs) break;
      if (!item.isGivenUp) dropped++;
      this.#remove(item);
      this.#expired.set(item.id, nowMs);
    }
    for (const [id, sinceMs] of this.#expired) {
      if (nowMs - sinceMs <= this.#limits.seenForMs) break;
      this.#expired.delete(id);
    }
    this.forgetSeen(nowMs - this.#limits.seenForMs);
    // Entries that went down with a Redis, or that the reader was too late for, are never seen.
    for (const [id, atMs] of this.#appended) {
      if (nowMs - atMs <= this.#limits.heardForMs) break;
      this.#appended.delete(id);
    }
    return dropped;
  }

  /** The first message of a name that waits. */
  #firstNamed(name: string): Item | undefined {
    if (this.#items.size === 0) return undefined;
    this.#names ??= new WaitingNames(this.#byContent.values());
    return this.#names.find(name)?.[0];
  }

  /** The first message that waits. */
  #oldest(): Item | undefined {
    for (const item of this.#items.values()) if (!item.isGivenUp) return item;
    return undefined;
  }

  #remove(item: Item): void {
    this.#items.delete(item.id);
    if (item.isGivenUp) this.#givenUp--;
    this.#size -= item.size;
    const same = this.#byContent.get(item.key);
    if (same === undefined) return;
    const index = same.indexOf(item);
    if (index >= 0) same.splice(index, 1);
    if (same.length > 0) return;
    this.#byContent.delete(item.key);
    if (this.#items.size === 0) this.#names = undefined;
    else this.#names?.remove(same);
  }
}
