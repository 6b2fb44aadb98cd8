import { HttpExchange } from './http-exchange.js';
import { type FuzzedRequest, type KnownSids, fuzzedRequest } from './http-fuzz.js';
import { type FaultBook, faultOf, shown } from './http-judge.js';
import { frame, fuzzed } from './hostile.js';
import type { Pod } from './pod.js';
import { Random } from './random.js';
import { Malformed, checkFrames, headerOf } from './strict-http.js';

/** Most requests that come over one connection. */
const MOST_EACH = 8;
/** ms after which a request that has to be answered is taken to hang: a poll is answered with the next ping. */
const HANG = 15_000;
/** ms for an answer that need not come. */
const PATIENCE = 40;

/** Sessions of others that one may meddle with: two polls of a session at once are nothing that a client does. */
const SHARED_SIDS = 2;

/** Where and what a hostile client sends. */
export interface HostileOptions {
  readonly pod: Pod;
  readonly seed: number;
  readonly i: number;
  /** Session ids of honest clients on a WebSocket. */
  readonly honest: readonly string[];
  /** Those that hostile connections have opened, the newest last; each adds its own. */
  readonly opened: string[];
  readonly faults: FaultBook;
}

/** One connection of a hostile client, with everything that it draws: the same for the same seed and number. */
export class HostileConnection {
  readonly #random: Random;
  readonly #pod: Pod;
  readonly #faults: FaultBook;
  readonly #isPublic: boolean;
  readonly #where: string;
  readonly #opened: string[];
  #sids: KnownSids;
  #underWay: readonly FuzzedRequest[] = [];

  /** @param options.i - the number of the connection among those of the seed */
  constructor({ pod, seed, i, honest, opened, faults }: HostileOptions) {
    this.#random = new Random(seed ^ Math.imul(i + 1, 0x9e3779b1));
    this.#pod = pod;
    this.#faults = faults;
    this.#isPublic = this.#random.below(4) > 0;
    this.#where = `connection ${i} to the ${this.#isPublic ? 'public' : 'admin'} port`;
    this.#opened = opened;
    this.#sids = { polling: opened.slice(-SHARED_SIDS), websocket: honest };
  }

  /** What it sent last, for a failure. */
  toString(): string {
    return `${this.#where}: ${this.#underWay.map(({ bytes }) => shown(bytes)).join(' and ')}`;
  }

  /** @returns how many requests were sent */
  async run(): Promise<number> {
    const exchange = await this.#open();
    try {
      if (this.#isPublic && this.#random.below(3) === 0) await this.#beginSession(exchange);
      const requests = Array.from({ length: 1 + this.#random.below(MOST_EACH) }, () =>
        fuzzedRequest(this.#random, this.#sids),
      );
      const way = this.#random.below(10);
      if (way < 5) return await this.#oneByOne(exchange, requests);
      if (way < 6) return await this.#twice(exchange, requests);
      if (way < 8) return await this.#pipelined(exchange, requests);
      return await this.#cutOff(exchange, requests);
    } finally {
      exchange.end(this.#random.below(2) === 0 ? 'RST' : 'FIN');
    }
  }

  #open(): Promise<HttpExchange> {
    const { port, adminPort } = this.#pod;
    return HttpExchange.open(this.#isPublic ? port : adminPort, `127.0.3.${1 + this.#random.below(50)}`);
  }

  /** A session on long-polling, half of the times with a socket: what it gets ends polls. */
  async #beginSession(exchange: HttpExchange): Promise<void> {
    const head = 'HTTP/1.1\r\nHost: gateway\r\n';
    const path = '/socket.io/?EIO=4&transport=polling';
    await exchange.send(Buffer.from(`GET ${path} ${head}\r\n`));
    const opened = await exchange.answer('GET', HANG);
    if (typeof opened === 'string' || opened.status !== 200)
      throw new Error(`${this.#where}: no session: ${JSON.stringify(opened)}`);
    const { sid } = JSON.parse(opened.body.toString().slice(1)) as { sid: string };
    this.#opened.push(sid);
    // Most of what follows is for this one.
    this.#sids = { ...this.#sids, polling: [...this.#sids.polling, sid, sid, sid, sid] };
    if (this.#random.below(2) === 0) return;
    await exchange.send(Buffer.from(`POST ${path}&sid=${sid} ${head}Content-Length: 2\r\n\r\n40`));
    await exchange.answer('POST', HANG);
  }

  /** Each request when the one before it is answered. */
  async #oneByOne(exchange: HttpExchange, requests: readonly FuzzedRequest[]): Promise<number> {
    for (const [i, request] of requests.entries()) if (!(await this.#one(exchange, request))) return i + 1;
    return requests.length;
  }

  /** Each request over two connections at the same time, as of somebody who repeats what he has seen. */
  async #twice(exchange: HttpExchange, requests: readonly FuzzedRequest[]): Promise<number> {
    const other = await this.#open();
    try {
      for (const [i, request] of requests.entries()) {
        const goOn = await Promise.all([this.#one(exchange, request), this.#one(other, request)]);
        if (goOn.includes(false)) return (i + 1) * 2;
      }
      return requests.length * 2;
    } finally {
      other.end('RST');
    }
  }

  /** Sends a request, in one piece or in several. @returns whether another one may follow */
  async #one(exchange: HttpExchange, request: FuzzedRequest): Promise<boolean> {
    this.#underWay = [request];
    await exchange.send(...this.#pieces(request.bytes));
    const outcome = await this.#take(exchange, request);
    // After what is not framed rightly nobody knows where the next one begins.
    if (!request.isProper) return false;
    if (outcome === 'closed') this.#note('closed without an answer', request);
    if (outcome === 'silent') this.#note(`no answer in ${HANG} ms`, request);
    const isDone = outcome === 'answered' && exchange.rest.length === 0;
    if (outcome === 'answered' && !isDone) this.#note('more than one answer', request);
    return isDone;
  }

  /**
   * All at once. The gateway may close the connection while an answer is not ready, as a long poll's. uWebSockets.js writes
   * `100 Continue`, and what it answers to a wrong request, past the answers that it still holds back.
   */
  async #pipelined(exchange: HttpExchange, requests: readonly FuzzedRequest[]): Promise<number> {
    const usable = requests.filter(({ expectsContinue }) => !expectsContinue);
    const last = usable.findIndex(({ isProper, asksForWebSocket }) => !isProper || asksForWebSocket);
    const sent = last < 0 ? usable : usable.slice(0, last + 1);
    const isProper = sent.every((request) => request.isProper);
    this.#underWay = sent;
    await exchange.send(...this.#pieces(Buffer.concat(sent.map(({ bytes }) => bytes))));
    for (const request of sent) {
      const outcome = await this.#take(exchange, { ...request, isProper });
      if (outcome === 'silent' && isProper) this.#note('no answer in a pipeline', request);
      if (outcome !== 'answered') break;
    }
    return sent.length;
  }

  /** Ends somewhere in the middle. */
  async #cutOff(exchange: HttpExchange, requests: readonly FuzzedRequest[]): Promise<number> {
    this.#underWay = requests;
    const all = Buffer.concat(requests.map(({ bytes }) => bytes));
    await exchange.send(...this.#pieces(all.subarray(0, this.#random.below(all.length + 1))));
    if (this.#random.below(2) === 0) await exchange.idle(PATIENCE / 4);
    return requests.length;
  }

  /** Reads the answer to a request and notes what is wrong with it. */
  async #take(exchange: HttpExchange, request: FuzzedRequest): Promise<'answered' | 'over' | 'closed' | 'silent'> {
    try {
      const answer = await exchange.answer(request.method, request.isProper ? HANG : PATIENCE);
      if (typeof answer === 'string') return answer;
      const fault = faultOf(request, answer, this.#isPublic);
      if (fault !== undefined) this.#note(fault, request);
      const ends = answer.isBare || request.endsConnection || headerOf(answer, 'connection').join() === 'close';
      if (answer.status !== 101) return ends ? 'over' : 'answered';
      await this.#useWebSocket(exchange);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#note(`malformed: ${error.message}`, request);
    }
    return 'over';
  }

  async #useWebSocket(exchange: HttpExchange): Promise<void> {
    const frames = Array.from({ length: this.#random.below(4) }, () => {
      const { payload, opcode } = fuzzed(this.#random);
      return frame(payload, opcode);
    });
    await exchange.send(...frames);
    await exchange.idle(PATIENCE / 4);
    checkFrames(exchange.rest);
    exchange.end('RST');
  }

  #pieces(bytes: Buffer): Buffer[] {
    if (this.#random.below(3) > 0) return [bytes];
    const cuts = Array.from({ length: 1 + this.#random.below(3) }, () => this.#random.below(bytes.length + 1));
    const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
    return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
  }

  #note(kind: string, request: FuzzedRequest): void {
    this.#faults.note(kind, request, this.#where);
  }
}
