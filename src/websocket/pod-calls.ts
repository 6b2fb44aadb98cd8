import { withTimeout } from '../deadline.js';
import type { FeedServer, FeedSocket } from './feed-socket.js';
import { type Peers, PodQuestions } from './pod-questions.js';

/** What pods ask each other; pods of version 0.1 do so as server-side events of these names. */
const INFO = 'gateway:info';
const DISCONNECT = 'gateway:disconnect';

/** The clients to disconnect: all of a user, or one. */
export interface Target {
  readonly user?: string | undefined;
  readonly sid?: string | undefined;
  /** Closes the transport, after which the stock client reconnects by itself, instead of ending its socket. */
  readonly reconnect: boolean;
}

/** The pods beside this one. */
export interface OtherPods extends Peers {
  /** Whether they can be asked now. */
  reachable(): boolean;
  /** Asks those of version 0.1; resolves to their answers, an empty list where there are no such pods. */
  askFormer(event: string, ...args: unknown[]): Promise<unknown[]>;
}

/** Longer than a pod that does not answer is waited for; then only Redis can be what hangs. */
const ANSWER_LIMIT_MS = 6000;

/** The Socket.IO room of all clients of a user. */
export function roomOfUser(user: string): string {
  return `user:${user}`;
}

/** Asks all pods, over the channels of the Socket.IO adapter. */
export class PodCalls {
  readonly #sio: FeedServer;
  readonly #others: OtherPods | undefined;
  readonly #describe: () => object;
  readonly #questions: PodQuestions | undefined;

  /**
   * @param others - unset where there is no Redis, and so no other pod
   * @param describe - what this pod says about itself; JSON
   */
  constructor(sio: FeedServer, others: OtherPods | undefined, describe: () => object) {
    this.#sio = sio;
    this.#others = others;
    this.#describe = describe;
    this.#questions = others && new PodQuestions(sio, others, (call, arg) => this.#answer(call, arg));
    sio.on(INFO, (answer: (info: object) => void) => answer(describe()));
    sio.on(DISCONNECT, (target: Target, answer: (count: number) => void) => answer(this.#disconnectHere(target)));
  }

  /** What every pod says about itself, this one first. @throws when one of them does not answer */
  async info(): Promise<readonly object[]> {
    const others = (await this.#ask(INFO)) as object[];
    return [this.#describe(), ...others];
  }

  /** @returns how many clients were disconnected. @throws when a pod does not answer */
  async disconnect(target: Target): Promise<number> {
    const here = this.#disconnectHere(target);
    const others = (await this.#ask(DISCONNECT, target)) as number[];
    return others.reduce((sum, count) => sum + count, here);
  }

  /** The answers of the other pods. */
  async #ask(call: string, ...args: readonly [] | readonly [Target]): Promise<unknown[]> {
    if (this.#others === undefined || this.#questions === undefined) return [];
    if (!this.#others.reachable()) throw new Error('the link to Redis is lost');
    const answers = await Promise.all([
      withTimeout(ANSWER_LIMIT_MS, 'asking the other pods', this.#questions.ask(call, ...args)),
      this.#others.askFormer(call, ...args),
    ]);
    return answers.flat();
  }

  #answer(call: string, arg: unknown): unknown {
    if (call === INFO) return this.#describe();
    return call === DISCONNECT ? this.#disconnectHere(arg as Target) : undefined;
  }

  #disconnectHere({ user, sid, reconnect }: Target): number {
    const { sockets, adapter } = this.#sio.of('/');
    const ids = user === undefined ? [sid ?? ''] : [...(adapter.rooms.get(roomOfUser(user)) ?? [])];
    const found = ids.map((id) => sockets.get(id)).filter((socket): socket is FeedSocket => socket !== undefined);
    for (const socket of found) {
      if (reconnect) socket.conn.close();
      else socket.disconnect(true);
    }
    return found.length;
  }
}
