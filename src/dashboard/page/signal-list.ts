import { clock, duration, price } from './format.js';
import { make, setText } from './dom.js';
import type { Received } from './feed.js';

/** Rows that are drawn at most. */
export const MAX_ROWS = 200;

const COLUMNS = ['time', 'side', 'symbol', 'timeframe', 'price', 'type', 'latency', 'place'] as const;
type Column = (typeof COLUMNS)[number];

/** One row; it is filled again and again, and never thrown away while the list is long. */
class Row {
  readonly node = make('tr');
  readonly #cells: Readonly<Record<Column, HTMLTableCellElement>>;
  /** The time to the second, and its rest, for which a phone has no room. */
  readonly #seconds = make('b');
  readonly #rest = make('span');

  constructor() {
    const cells = COLUMNS.map((column) => [column, make('td', column)] as const);
    for (const [, cell] of cells) {
      // The layout is a grid, for which some browsers forget that this is a table.
      cell.setAttribute('role', 'cell');
      this.node.append(cell);
    }
    this.node.setAttribute('role', 'row');
    this.#cells = Object.fromEntries(cells) as Record<Column, HTMLTableCellElement>;
    this.#cells.time.append(this.#seconds, this.#rest);
  }

  fill(signal: Received): this {
    const cells = this.#cells;
    const time = Number.isNaN(signal.timeMs) ? '—' : clock(signal.timeMs);
    setText(this.#seconds, time.slice(0, 8));
    setText(this.#rest, time.slice(8));
    setText(cells.side, signal.side);
    cells.side.dataset['side'] = signal.side;
    setText(cells.symbol, signal.symbol);
    setText(cells.timeframe, signal.timeframe);
    setText(cells.price, price(signal.price));
    setText(cells.type, signal.type);
    setText(cells.latency, Number.isNaN(signal.latencyMs) ? '—' : duration(signal.latencyMs));
    setText(cells.place, signal.place === undefined ? '—' : String(signal.place.seq));
    return this;
  }
}

/** The list of signals, newest first. Rows are used again, so that a fast feed makes no garbage of nodes. */
export class SignalList {
  readonly #body: HTMLElement;
  /** As they stand in the page. */
  #rows: Row[] = [];

  constructor(body: HTMLElement) {
    this.#body = body;
  }

  get size(): number {
    return this.#rows.length;
  }

  /** Puts signals on top. @param signals - oldest first */
  add(signals: readonly Received[]): void {
    const shown = signals.slice(-MAX_ROWS);
    if (shown.length === 0) return;
    const added: Row[] = [];
    const fragment = document.createDocumentFragment();
    for (const signal of shown.toReversed()) {
      const isFull = this.#rows.length + added.length >= MAX_ROWS;
      const row = (isFull ? this.#rows.pop() : undefined) ?? new Row();
      added.push(row.fill(signal));
      fragment.append(row.node);
    }
    this.#body.prepend(fragment);
    this.#rows = [...added, ...this.#rows];
  }

  /** Shows these signals and no others. @param signals - newest first */
  reset(signals: Iterable<Received>): void {
    let used = 0;
    for (const signal of signals) {
      if (used >= MAX_ROWS) break;
      const row = this.#rows[used]?.fill(signal) ?? new Row().fill(signal);
      if (this.#rows[used] === undefined) {
        this.#rows.push(row);
        this.#body.append(row.node);
      }
      used++;
    }
    for (const row of this.#rows.splice(used)) row.node.remove();
  }
}
