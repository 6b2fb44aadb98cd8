import type { StatusUpdate } from '../../contract/events.js';
import { make, setText } from './dom.js';
import { clock } from './format.js';

const MAX_SERVICES = 50;
const MAX_TEXT = 200;

interface Card {
  readonly item: HTMLLIElement;
  readonly state: HTMLElement;
  readonly message: HTMLElement;
}

/** The newest state of every service. */
export class Statuses {
  readonly #list: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #cards = new Map<string, Card>();

  constructor(list: HTMLElement, empty: HTMLElement) {
    this.#list = list;
    this.#empty = empty;
  }

  show({ service, status, message }: StatusUpdate): void {
    this.#empty.hidden = true;
    const card = this.#card(service);
    if (card === undefined) return;
    card.item.dataset['status'] = status;
    setText(card.state, status);
    setText(card.message, message.slice(0, MAX_TEXT));
    card.item.title = `since ${clock(Date.now()).slice(0, 8)}`;
  }

  #card(service: string): Card | undefined {
    const known = this.#cards.get(service);
    if (known !== undefined) return known;
    if (this.#cards.size >= MAX_SERVICES) return undefined;
    const card = { item: make('li'), state: make('span', 'badge'), message: make('p') };
    const head = make('div', 'head');
    head.append(make('strong', '', service.slice(0, MAX_TEXT)), card.state);
    card.item.append(head, card.message);
    this.#cards.set(service, card);
    this.#list.append(card.item);
    return card;
  }
}
