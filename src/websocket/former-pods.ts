import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import { randomName } from '../random-name.js';
import { type Ear, openEar } from './ear-adapter.js';

/** What the names of channels begin with in version 0.1, and in any application that leaves the adapter's default. */
const FORMER_KEY = 'socket.io';
const REQUESTS = `${FORMER_KEY}-request#/#`;
const ANSWERS = `${FORMER_KEY}-response#/#`;
/** The adapter's number for `serverSideEmit`. */
const SERVER_SIDE_EMIT = 6;
/** First character of the sender's name in what a pod of this version says on the former channels. uid2 never begins so. */
const MARK = '~';
/** How long answers of former pods are waited for. */
const ANSWER_MS = 1000;
const LOOK_INTERVAL_MS = 30_000;

/** How {@link FormerPods} is set up. */
export interface FormerPodsOptions {
  readonly publish: Pick<Redis, 'publish' | 'pubsub'>;
  /** A connection that only subscribes. */
  readonly subscribe: Pick<Redis, 'subscribe' | 'unsubscribe' | 'on' | 'off'>;
  /** Name of the journal's epoch, by which pods of one gateway know each other. */
  readonly epoch: () => string;
  readonly log: Logger;
}

/**
 * Pods of version 0.1, beside which this one serves while a rolling upgrade lasts.
 *
 * Their channels have no prefix, so any Socket.IO application may speak there. So these are listened to, and spoken on, only
 * while a pod of 0.1 with this journal answers there. What pods of this version say there is marked, since their own channels
 * bring it too.
 */
export class FormerPods {
  readonly #options: FormerPodsOptions;
  readonly #timer: NodeJS.Timeout;
  #home: { readonly namespace: Namespace; readonly main: Adapter; readonly subscribe: object } | undefined;
  #ear: Ear | undefined;
  #count = 0;
  /** Those and pods of other gateways, who answer on these channels too. */
  #answering = 0;
  #looking: Promise<void> | undefined;

  constructor(options: FormerPodsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), LOOK_INTERVAL_MS).unref();
  }

  /** How many there are, as far as is known. */
  get count(): number {
    return this.#count;
  }

  /** Says for whom it listens. @param subscribe - the connection as an adapter gets it */
  attach(namespace: Namespace, main: Adapter, subscribe: object): void {
    this.#home = { namespace, main, subscribe };
  }

  /** Checks whether there are any. Never throws. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch(() => {}) // Trouble of the link is reported where the link is watched.
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Asks them, as `serverSideEmitWithAck` does. Resolves to the answers that came in time, strangers' among them. */
  async ask(...call: readonly [event: string, ...args: unknown[]]): Promise<unknown[]> {
    return this.#count === 0 ? [] : this.#ask(call, this.#answering);
  }

  /** Passes on to them what an adapter with the channels `{key}#…` has published, if they need it. */
  copy(key: string, channel: string, message: string | Buffer): void {
    if (this.#count === 0) return;
    const marked = withMark(message);
    const isEmit = channel.startsWith(`${key}#`);
    const isRequest = channel.startsWith(`${key}-request#`) && !message.includes('"requestId"');
    if (marked === undefined || !(isEmit || isRequest)) return;
    this.#options.publish.publish(FORMER_KEY + channel.slice(key.length), marked).catch(() => {});
  }

  /** Looks no longer. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { publish, epoch, log } = this.#options;
    const [, listeners] = (await publish.pubsub('NUMSUB', REQUESTS)) as [string, number];
    const isAlone = listeners <= (this.#ear === undefined ? 0 : 1);
    const answers = isAlone ? [] : await this.#ask(['gateway:info'], Infinity);
    const former = this.#count;
    this.#answering = answers.length;
    this.#count = answers.filter((answer) => isOf(epoch(), answer)).length;
    if (this.#count > 0 && former === 0) {
      log.info({ pods: this.#count }, 'pods of version 0.1 serve beside this one; listening on their channels too');
    }
    if (this.#home === undefined || this.#count > 0 === (this.#ear !== undefined)) return;
    if (this.#count > 0) {
      const { namespace, main, subscribe } = this.#home;
      this.#ear = openEar(namespace, main, { key: FORMER_KEY, publish, subscribe });
    } else {
      void this.#ear?.close();
      this.#ear = undefined;
    }
  }

  async #ask(call: readonly unknown[], expected: number): Promise<unknown[]> {
    const { publish, subscribe } = this.#options;
    const requestId = randomName(9);
    const answers: unknown[] = [];
    const enough = new AbortController();
    const onMessage = (channel: Buffer, bytes: Buffer): void => {
      if (channel.toString() !== ANSWERS || !bytes.includes(requestId)) return;
      const answer = parse(bytes);
      if (answer?.requestId !== requestId) return;
      answers.push(answer.data);
      if (answers.length >= expected) enough.abort();
    };
    subscribe.on('messageBuffer', onMessage);
    try {
      await subscribe.subscribe(ANSWERS);
      const request = { uid: MARK + randomName(4), requestId, type: SERVER_SIDE_EMIT, data: call };
      await publish.publish(REQUESTS, JSON.stringify(request));
      await sleep(ANSWER_MS, undefined, { signal: enough.signal }).catch(() => {});
    } finally {
      subscribe.off('messageBuffer', onMessage);
      if (this.#ear === undefined) await subscribe.unsubscribe(ANSWERS).catch(() => {});
    }
    return answers;
  }
}

/** Whether a message on the former channels is one of a pod of this version, which has come by its own channels already. */
export function isMarked(channel: string, message: Buffer): boolean {
  if (!channel.startsWith(`${FORMER_KEY}#`) && !channel.startsWith(REQUESTS)) return false;
  return message[0] === 0x93 ? message[2] === MARK.charCodeAt(0) : message.subarray(0, 9).equals(MARKED_REQUEST);
}

const MARKED_REQUEST = Buffer.from(`{"uid":"${MARK}`);

/**
 * A message of the adapter with a mark in the name of its sender: MessagePack, an array of three that begins with the name, or
 * JSON that does.
 */
function withMark(message: string | Buffer): Buffer | undefined {
  const bytes = Buffer.from(message);
  const at = bytes[0] === 0x93 ? 2 : bytes.indexOf('{"uid":"') === 0 ? MARKED_REQUEST.length - 1 : -1;
  if (at < 0) return undefined;
  bytes[at] = MARK.charCodeAt(0);
  return bytes;
}

function parse(bytes: Buffer): { readonly requestId?: unknown; readonly data?: unknown } | undefined {
  try {
    return JSON.parse(bytes.toString()) as { requestId?: unknown; data?: unknown };
  } catch {
    return undefined;
  }
}

/** Whether an answer to `gateway:info` is one of a pod with this journal. */
function isOf(epoch: string, answer: unknown): boolean {
  const { head } = (answer ?? {}) as { readonly head?: unknown };
  return typeof head === 'string' && head.startsWith(`${epoch}:`);
}
