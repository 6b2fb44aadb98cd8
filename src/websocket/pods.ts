import type { FeedServer, FeedSocket } from './feed-socket.js';

/** Names between pods; no client can send these. */
const INFO = 'gateway:info';
const DISCONNECT = 'gateway:disconnect';

/** Whom to disconnect: all clients of a user, or one client. */
export interface Target {
  readonly user?: string | undefined;
  readonly sid?: string | undefined;
  /** Closes the transport, after which the stock client comes again by itself, instead of ending its socket. */
  readonly reconnect: boolean;
}

/** The Socket.IO room of everybody that is the same user. */
export function roomOfUser(user: string): string {
  return `user:${user}`;
}

/** Asks all pods, through the Socket.IO adapter. */
export class PodCalls {
  readonly #sio: FeedServer;
  readonly #isAlone: boolean;
  readonly #describe: () => object;

  /**
   * @param isAlone - there is no Redis, and so no other pod
   * @param describe - what this pod says of itself; JSON
   */
  constructor(sio: FeedServer, isAlone: boolean, describe: () => object) {
    this.#sio = sio;
    this.#isAlone = isAlone;
    this.#describe = describe;
    sio.on(INFO, (answer: (info: object) => void) => answer(describe()));
    sio.on(DISCONNECT, (target: Target, answer: (count: number) => void) => answer(this.#disconnectHere(target)));
  }

  /** What every pod says of itself, this one first. @throws when one of them does not answer */
  async info(): Promise<readonly object[]> {
    const others = this.#isAlone ? [] : ((await this.#sio.serverSideEmitWithAck(INFO)) as object[]);
    return [this.#describe(), ...others];
  }

  /** @returns how many clients were disconnected. @throws when a pod does not answer */
  async disconnect(target: Target): Promise<number> {
    const here = this.#disconnectHere(target);
    const others = this.#isAlone ? [] : ((await this.#sio.serverSideEmitWithAck(DISCONNECT, target)) as number[]);
    return others.reduce((sum, count) => sum + count, here);
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
