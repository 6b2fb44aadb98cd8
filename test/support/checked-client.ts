import { type ManagerOptions, type Socket, type SocketOptions, io } from 'socket.io-client';
import { type Offset, parseOffset } from '../../src/contract/offset.js';
import type { Cleanup } from './processes.js';
import { until } from './until.js';

/** What a client found wrong with what it got. */
export interface Faults {
  lost: number;
  twice: number;
  outOfOrder: number;
}

/**
 * A stock client that checks what it gets: per epoch, `seq` must be contiguous from its first. A `gap` excuses what lies
 * before the place where it goes on.
 */
export class CheckedClient {
  readonly socket: Socket;
  readonly faults: Faults = { lost: 0, twice: 0, outOfOrder: 0 };
  readonly gaps: { reason: string; requested: string; resumed: string }[] = [];
  /** Of every connect but the first: whether it was recovered. */
  readonly reconnects: boolean[] = [];
  /** `<epoch>:<seq>` → what came there, in the order it came. */
  readonly got = new Map<string, string>();
  readonly statuses: { status: string; service: string }[] = [];
  readonly other: unknown[][] = [];
  readonly disconnects: string[] = [];
  #last: Offset | undefined;
  #connects = 0;

  /** @param keyOf - what is kept of a payload, to be compared with the journal later */
  constructor(
    cleanup: Cleanup,
    url: string,
    options: Partial<ManagerOptions & SocketOptions> = {},
    keyOf: (payload: unknown) => string = (payload) => JSON.stringify(payload),
  ) {
    this.socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 500, ...options });
    cleanup.add(this.socket, () => this.socket.disconnect());
    this.socket.on('connect', () => {
      if (this.#connects++ > 0) this.reconnects.push(this.socket.recovered);
    });
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.on('welcome', (_message: unknown, offset: string) => {
      const place = parseOffset(offset);
      // A fresh session begins here; a recovered one must be told where it was.
      if (!this.socket.recovered && this.#last === undefined) this.#last = place;
    });
    this.socket.on('gap', (gap: { reason: string; requested: string; resumed: string }) => {
      this.gaps.push(gap);
      this.#last = parseOffset(gap.resumed);
    });
    this.socket.on('new_signal', (payload: unknown, offset: string) => this.#take(payload, offset, keyOf));
    this.socket.on('status_update', (payload: { status: string; service: string }, offset?: string) => {
      this.statuses.push(payload);
      if (offset !== undefined) this.#take(payload, offset, keyOf);
    });
    this.socket.onAny((event: string, ...args: unknown[]) => {
      if (!['welcome', 'gap', 'new_signal', 'status_update'].includes(event)) this.other.push([event, ...args]);
    });
  }

  /** The newest place the client has got to. */
  get last(): Offset | undefined {
    return this.#last;
  }

  /** Sum of all faults. */
  get faultCount(): number {
    return this.faults.lost + this.faults.twice + this.faults.outOfOrder;
  }

  #take(payload: unknown, text: string, keyOf: (payload: unknown) => string): void {
    const place = parseOffset(text);
    if (place === undefined) throw new Error(`"${text}" is not an offset`);
    const last = this.#last;
    if (this.got.has(text)) this.faults.twice++;
    else if (last !== undefined && last.epoch === place.epoch) {
      if (place.seq <= last.seq) this.faults.outOfOrder++;
      else this.faults.lost += place.seq - last.seq - 1;
    }
    this.got.set(text, keyOf(payload));
    if (last === undefined || last.epoch !== place.epoch || place.seq > last.seq) this.#last = place;
  }

  /** What `until` prints of a client. */
  toJSON(): unknown {
    return {
      connected: this.socket.connected,
      last: this.#last,
      got: this.got.size,
      faults: this.faults,
      gaps: this.gaps,
      reconnects: `${this.reconnects.filter(Boolean).length} of ${this.reconnects.length} recovered`,
      disconnects: this.disconnects.length,
    };
  }
}

/** Faults of many clients added up, with the clients that have any. */
export function summary(clients: readonly CheckedClient[]): {
  faults: Faults;
  gaps: number;
  reconnects: number;
  recovered: number;
  bad: readonly CheckedClient[];
} {
  const faults: Faults = { lost: 0, twice: 0, outOfOrder: 0 };
  let gaps = 0;
  let reconnects = 0;
  let recovered = 0;
  for (const client of clients) {
    faults.lost += client.faults.lost;
    faults.twice += client.faults.twice;
    faults.outOfOrder += client.faults.outOfOrder;
    gaps += client.gaps.length;
    reconnects += client.reconnects.length;
    recovered += client.reconnects.filter(Boolean).length;
  }
  return { faults, gaps, reconnects, recovered, bad: clients.filter((c) => c.faultCount > 0 || c.gaps.length > 0) };
}

/** Waits until every client has its welcome. */
export async function connected(clients: readonly CheckedClient[]): Promise<void> {
  await until('the clients to be connected', () => clients.every((c) => c.socket.connected && c.last !== undefined), {
    seen: () => clients,
  });
}
