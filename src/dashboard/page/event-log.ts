import { make, setText } from './dom.js';
import { clock } from './format.js';

/** How an event is marked. */
export type EventKind = 'good' | 'bad' | 'plain';

const MAX_EVENTS = 100;

/** An entry that can still be changed. */
export type Entry = (kind: EventKind, text: string) => void;

/** What happened to the connection, newest first. */
export class EventLog {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** @returns changes the entry, for what goes on */
  add(kind: EventKind, text: string): Entry {
    const item = make('li', kind);
    const time = make('time', '', clock(Date.now()).slice(0, 8));
    const words = make('span', '', text);
    item.append(time, words);
    this.#list.prepend(item);
    while (this.#list.childElementCount > MAX_EVENTS) this.#list.lastElementChild?.remove();
    return (newKind, newText) => {
      item.className = newKind;
      setText(words, newText);
    };
  }
}
