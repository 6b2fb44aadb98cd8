import { setTimeout as sleep } from 'node:timers/promises';
import { randomName } from '../random-name.js';
import type { FeedServer } from './feed-socket.js';

/** Names between pods; no client can send these. */
const QUESTION = 'gateway:question';
const ANSWER = 'gateway:answer';

/** How long an answer is waited for. */
const ANSWER_LIMIT_MS = 5000;
/** How often it is checked meanwhile whether those who have not answered are still there. */
const LOOK_INTERVAL_MS = 250;

/** What one pod asks all others. */
interface Question {
  readonly id: string;
  readonly call: string;
  readonly arg?: unknown;
}

/** What one of them answers. */
interface Answer {
  readonly id: string;
  readonly pod: string;
  readonly value: unknown;
}

/** Who is there to be asked. */
export interface Peers {
  /** Name of this pod. */
  readonly pod: string;
  /** The names of the other pods that are there now. */
  others(): Promise<readonly string[]>;
}

/** A question that waits for answers. */
interface Open {
  readonly answers: Map<string, unknown>;
  /** Called for each answer. */
  onAnswer: () => void;
}

/**
 * Asks the other pods by name. `serverSideEmitWithAck` would count subscribers and wait for so many answers: also for those of
 * strangers, and of pods that died meanwhile, and could not say whose answer is missing.
 */
export class PodQuestions {
  readonly #sio: FeedServer;
  readonly #peers: Peers;
  readonly #open = new Map<string, Open>();

  /** @param answer - carries out the call of another pod; what it returns is JSON */
  constructor(sio: FeedServer, peers: Peers, answer: (call: string, arg: unknown) => unknown) {
    this.#sio = sio;
    this.#peers = peers;
    sio.on(QUESTION, ({ id, call, arg }: Question) => {
      const value = answer(call, arg);
      if (value !== undefined) sio.serverSideEmit(ANSWER, { id, pod: peers.pod, value } satisfies Answer);
    });
    sio.on(ANSWER, ({ id, pod, value }: Answer) => {
      const open = this.#open.get(id);
      open?.answers.set(pod, value);
      open?.onAnswer();
    });
  }

  /**
   * Asks all pods that are there.
   *
   * @returns an answer of each, less those that went away meanwhile
   * @throws when one does not answer, with its name
   */
  async ask(call: string, arg?: unknown): Promise<unknown[]> {
    const deadlineMs = performance.now() + ANSWER_LIMIT_MS;
    let asked = await this.#peers.others();
    if (asked.length === 0) return [];
    const id = randomName(9);
    const open: Open = { answers: new Map(), onAnswer: () => {} };
    this.#open.set(id, open);
    try {
      this.#sio.serverSideEmit(QUESTION, { id, call, arg } satisfies Question);
      for (;;) {
        await answered(open, asked, Math.min(LOOK_INTERVAL_MS, deadlineMs - performance.now()));
        if (asked.every((pod) => open.answers.has(pod))) return [...open.answers.values()];
        // After a pause of this process answers may be waiting to be read; they are once this is known.
        const present = new Set(await this.#peers.others());
        asked = asked.filter((pod) => present.has(pod) && !open.answers.has(pod));
        if (asked.length > 0 && performance.now() >= deadlineMs)
          throw new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s from ${asked.join(', ')}`);
      }
    } finally {
      this.#open.delete(id);
    }
  }
}

/** Resolves when each pod has answered, or after a while. */
async function answered(open: Open, pods: readonly string[], limitMs: number): Promise<void> {
  const all = new AbortController();
  const look = (): void => {
    if (pods.every((pod) => open.answers.has(pod))) all.abort();
  };
  open.onAnswer = look;
  look();
  await sleep(Math.max(0, limitMs), undefined, { signal: all.signal }).catch(() => {});
}
