import { type ManagerOptions, type Socket, type SocketOptions, io } from 'socket.io-client';
import type { Gap, SubscribeAnswer } from '../../src/contract/events.js';
import { parsePlace } from '../../src/contract/offset.js';
import type { Cleanup } from './processes.js';

/** What a client heard, in order. Places are `seq`: a test here has one epoch. */
type Heard =
  | { readonly kind: 'welcome' | 'signal' | 'checkpoint'; readonly seq: number }
  | { readonly kind: 'gap'; readonly requested: number; readonly resumed: number }
  | { readonly kind: 'topics'; readonly topics: ReadonlySet<string> };

function seqOf(text: unknown): number {
  const place = parsePlace(text);
  if (place === undefined) throw new Error(`${JSON.stringify(text)} is not an offset`);
  return place.offset.seq;
}

/** A stock client with topics that may change, whose account of what it heard is compared with what was published. */
export class FeedWitness {
  readonly socket: Socket;
  readonly disconnects: string[] = [];
  readonly #heard: Heard[] = [];
  readonly #topics: ReadonlySet<string>;

  /** @param topics - symbols, or `*` */
  constructor(
    cleanup: Cleanup,
    url: string,
    { topics, ...options }: Partial<ManagerOptions & SocketOptions> & { readonly topics: readonly string[] },
  ) {
    this.#topics = new Set(topics);
    this.socket = io(url, { forceNew: true, auth: { topics }, ...options });
    cleanup.add(this.socket, () => this.socket.disconnect());
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.on('welcome', (_message, offset) => this.#heard.push({ kind: 'welcome', seq: seqOf(offset) }));
    this.socket.on('new_signal', (_payload, offset) => this.#heard.push({ kind: 'signal', seq: seqOf(offset) }));
    this.socket.on('checkpoint', (offset) => this.#heard.push({ kind: 'checkpoint', seq: seqOf(offset) }));
    this.socket.on('gap', ({ requested, resumed }: Gap) => {
      this.#heard.push({ kind: 'gap', requested: seqOf(requested), resumed: seqOf(resumed) });
    });
  }

  get isWelcomed(): boolean {
    return this.#heard.length > 0;
  }

  get gaps(): number {
    return this.#heard.filter(({ kind }) => kind === 'gap').length;
  }

  /** The newest place that it knows of. */
  get last(): number {
    return this.#heard.reduce((last, one) => {
      if (one.kind === 'topics') return last;
      return Math.max(last, one.kind === 'gap' ? one.resumed : one.seq);
    }, 0);
  }

  /** Chooses other topics; they hold from the answer on. */
  subscribe(topics: readonly string[]): void {
    this.socket.emit('subscribe', topics, (answer: SubscribeAnswer) => {
      if (answer.ok) this.#heard.push({ kind: 'topics', topics: new Set(answer.topics) });
    });
  }

  /**
   * What is wrong with what it heard.
   *
   * @param published - the symbols of everything in the journal, by `seq`, ascending
   */
  faults(published: ReadonlyMap<number, string>): string[] {
    const faults: string[] = [];
    let topics = this.#topics;
    let place = 0;
    const isWanted = (seq: number): boolean => topics.has('*') || topics.has(published.get(seq) ?? '');
    const pass = (to: number, where: string): void => {
      for (let seq = place + 1; seq <= to; seq++) if (isWanted(seq)) faults.push(`${seq} is missing before ${where}`);
    };
    for (const one of this.#heard) {
      if (one.kind === 'topics') topics = one.topics;
      else if (one.kind === 'welcome') place = one.seq;
      else if (one.kind === 'gap') {
        pass(one.requested, `the gap from ${one.requested} to ${one.resumed}`);
        if (one.requested < place || one.resumed <= one.requested) faults.push(`at ${place}: ${JSON.stringify(one)}`);
        place = one.resumed;
      } else {
        if (one.seq < place || (one.kind === 'signal' && one.seq === place)) faults.push(`${one.seq} after ${place}`);
        pass(one.kind === 'signal' ? one.seq - 1 : one.seq, `${one.kind} ${one.seq}`);
        if (one.kind === 'signal' && !isWanted(one.seq)) faults.push(`${one.seq} is not wanted`);
        place = one.seq;
      }
    }
    pass(Math.max(...published.keys()), 'the end');
    return faults;
  }

  /** What `until` prints of it. */
  toJSON(): unknown {
    const { last, gaps, disconnects } = this;
    return { last, gaps, disconnects, transport: this.socket.io.engine?.transport?.name, heard: this.#heard.length };
  }
}
