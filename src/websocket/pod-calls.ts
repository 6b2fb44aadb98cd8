import { withTimeout } from '../deadline.js';
import type { FeedServer, FeedSocket } from './feed-socket.js';

/** Names between pods; no client can send these. */
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
export interface OtherPods {
  /** Whether they can be asked now. */
  reachable(): boolean;
  /** Asks those of version 0.1; resolves to their answers, which are none where there are no such pods. */
  askFormer(event: string, ...args: unknown[]): Promise<unknown[]>;
}

/** Longer than the adapter waits for a pod that does not answer, which then says so itself. */
const ANSWER_LIMIT_MS = 6000;

/** The Socket.IO room of all clients of a user. */
export function roomOfUser(user: string): string {
  return `user:${user}`;
}

/** Asks all pods, through the Socket.IO adapter. */
export class PodCalls {
  readonly #sio: FeedServer;
  readonly #others: OtherPods | undefined;
  readonly #describe: () => object;

  /**
   * @param others - unset where there is no Redis, and so no other pod
   * @param describe - what this pod says about itself; JSON
   */
  constructor(sio: FeedServer, others: OtherPods | undefined, describe: () => object) {
    this.#sio = sio;
    this.#others = others;
    this.#describe = describe;
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

  /** The answers of the other pods. The adapter itself never answers when Redis refuses to carry the question. */
  async #ask(event: string, ...args: unknown[]): Promise<unknown[]> {
    if (this.#others === undefined) return [];
    if (!this.#others.reachable()) throw new Error('the link to Redis is lost');
    const answers = await Promise.all([
      withTimeout(ANSWER_LIMIT_MS, 'asking the other pods', this.#sio.serverSideEmitWithAck(event, ...args)),
      this.#others.askFormer(event, ...args),
    ]);
    return answers.flat();
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
