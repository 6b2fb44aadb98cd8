import { ROOM_OF_ALL, roomsOfEntry } from '../contract/rooms.js';
import type { Found, LookLimits, NumberRange } from './journal.js';
import { type SortedRun, mergeRuns } from './merge-runs.js';
import { NumberQueue } from './number-queue.js';

/** What decides who gets an entry. */
type Routed = Parameters<typeof roomsOfEntry>[0];

/** The numbers of the entries that go to one room. */
interface Room {
  readonly name: string;
  readonly numbers: NumberQueue;
}

/** Entries that go to the same rooms. It stays for as long as there is one, so that a push builds no names of rooms. */
interface Route {
  readonly key: string;
  readonly names: readonly string[];
  readonly rooms: readonly Room[];
  entries: number;
}

/** What is looked for. */
export interface Search {
  readonly rooms: ReadonlySet<string>;
  /** All of it is here. */
  readonly range: NumberRange;
  readonly limits: LookLimits;
  /** Numbers that are found in any case, ascending. */
  readonly always: readonly number[];
}

/** What a route takes beside its key: its own rooms and lists, and its places in two maps. */
const ROUTE_BYTES = 900;
/** Its key and the names of its rooms. */
const ROUTE_TEXTS = 3;

function routeBytes({ key }: Route): number {
  return ROUTE_BYTES + ROUTE_TEXTS * 2 * key.length;
}

/** Separates parts of a key: no name of a producer has a control character. */
const SEPARATOR = '\n';

/** So many looks at an entry cost what one look into a list costs. */
const LIST_ADVANTAGE = 2;

/**
 * Where in a ring the entries of each room are, so that a client with few topics costs what it gets.
 *
 * The room of all signals has no list: who is in it wants nearly everything, and looks at every entry.
 */
export class RoomIndex {
  readonly #maxEntries: number;
  /** Of each entry; an entry's place here is that in the ring. */
  readonly #routes: (Route | undefined)[] = [];
  readonly #byKey = new Map<string, Route>();
  readonly #byName = new Map<string, Room>();
  #bytes = 0;

  /** @param maxEntries - most entries at a time */
  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  /** What names of rooms take in memory, about. What each entry takes is not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param number - higher than all before */
  push(number: number, entry: Routed): void {
    const key = entry.event + SEPARATOR + (entry.symbol ?? '') + SEPARATOR + (entry.timeframe ?? '');
    const route = this.#byKey.get(key) ?? this.#addRoute(key, entry);
    route.entries++;
    for (const room of route.rooms) room.numbers.push(number);
    this.#routes[number % this.#maxEntries] = route;
  }

  /** @param number - the lowest here */
  drop(number: number): void {
    const slot = number % this.#maxEntries;
    const route = this.#routes[slot];
    if (route === undefined) return;
    this.#routes[slot] = undefined;
    for (const { name, numbers } of route.rooms) {
      numbers.shift();
      if (numbers.size === 0) this.#byName.delete(name);
    }
    if (--route.entries > 0) return;
    this.#byKey.delete(route.key);
    this.#bytes -= routeBytes(route);
  }

  clear(): void {
    this.#routes.fill(undefined);
    this.#byKey.clear();
    this.#byName.clear();
    this.#bytes = 0;
  }

  /** As `RecentEntries.wanted`. */
  wanted(search: Search): Found {
    const { rooms, range, limits } = search;
    const looks = Math.min(range.to - range.from, limits.looks);
    const isListed = !rooms.has(ROOM_OF_ALL) && rooms.size * LIST_ADVANTAGE < looks;
    return isListed ? this.#merge(search) : this.#scan(search);
  }

  #scan({ rooms, range: { from, to }, limits, always }: Search): Found {
    const numbers: number[] = [];
    const end = Math.min(to, from + limits.looks);
    let next = always.findIndex((one) => one >= from);
    let number = from;
    for (; number < end && numbers.length < limits.entries; number++) {
      const isDue = next >= 0 && always[next] === number;
      if (isDue) next++;
      if (isDue || this.#goesTo(number, rooms)) numbers.push(number);
    }
    return { numbers, upTo: number, looked: number - from };
  }

  #goesTo(number: number, rooms: ReadonlySet<string>): boolean {
    const names = this.#routes[number % this.#maxEntries]?.names ?? [];
    for (const name of names) if (rooms.has(name)) return true;
    return false;
  }

  #merge({ rooms, range, limits, always }: Search): Found {
    const due = always.filter((number) => number >= range.from);
    const runs: SortedRun[] = [{ at: (i) => due[i], next: 0 }];
    for (const name of rooms) {
      const numbers = this.#byName.get(name)?.numbers;
      if (numbers !== undefined) runs.push({ at: (i) => numbers.at(i), next: numbers.indexFrom(range.from) });
    }
    const most = Math.min(limits.entries, limits.looks - rooms.size);
    const numbers = mergeRuns(runs, range.to, most);
    const last = numbers.at(-1);
    const upTo = numbers.length === most && last !== undefined ? last + 1 : range.to;
    return { numbers, upTo, looked: rooms.size + numbers.length };
  }

  #addRoute(key: string, entry: Routed): Route {
    const names = roomsOfEntry(entry);
    const rooms = names.filter((name) => name !== ROOM_OF_ALL).map((name) => this.#room(name));
    const route = { key, names, rooms, entries: 0 };
    this.#byKey.set(key, route);
    this.#bytes += routeBytes(route);
    return route;
  }

  #room(name: string): Room {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const room = { name, numbers: new NumberQueue() };
    this.#byName.set(name, room);
    return room;
  }
}
