import { type HttpAnswer, httpRequest } from './http.js';
import type { Pod } from './pod.js';

/** What separates the packets of one answer. */
const SEPARATOR = '\x1e';

/** A session on long-polling of which every single answer is seen. */
export class PollingSession {
  readonly url: string;
  /** The packets of each answer so far, the one that opened the session not counted. */
  readonly answers: string[][] = [];

  private constructor(pod: Pod, sid: string) {
    this.url = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  }

  /** Opens a session that joins no namespace yet. */
  static async begin(pod: Pod): Promise<PollingSession> {
    const { body } = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`);
    return new PollingSession(pod, (JSON.parse(body.slice(1)) as { sid: string }).sid);
  }

  /** Opens a session. @param packets - posted at once, such as CONNECT */
  static async open(pod: Pod, packets = '40'): Promise<PollingSession> {
    const session = await PollingSession.begin(pod);
    const posted = await session.post(packets);
    if (posted.body !== 'ok') throw new Error(`CONNECT was answered with ${posted.status} ${posted.body}`);
    return session;
  }

  /** The id of the session. */
  get sid(): string {
    return new URL(this.url).searchParams.get('sid') ?? '';
  }

  /** Every packet so far, in order. */
  get packets(): string[] {
    return this.answers.flat();
  }

  /** Packets of the fullest answer. */
  get most(): number {
    return Math.max(0, ...this.answers.map(({ length }) => length));
  }

  /** The prices of the signals so far, in order. */
  get prices(): number[] {
    return this.packets.flatMap((packet) => {
      const price = /^42\["new_signal",.*?"price":(\d+)/.exec(packet)?.[1];
      return price === undefined ? [] : [Number(price)];
    });
  }

  /** Sends packets. */
  post(packets: string, headers: Record<string, string> = {}): Promise<HttpAnswer> {
    return httpRequest(this.url, { method: 'POST', body: packets, headers });
  }

  /** Polls once, and answers a heartbeat. @returns the packets */
  async poll(): Promise<readonly string[]> {
    const { status, body } = await httpRequest(this.url);
    if (status !== 200) throw new Error(`a poll was answered with ${status} ${body}`);
    const packets = body.split(SEPARATOR);
    this.answers.push(packets);
    if (packets.includes('2')) await this.post('3');
    return packets;
  }

  /** Polls until a condition holds. */
  async pollUntil(isDone: () => boolean): Promise<void> {
    while (!isDone()) await this.poll();
  }
}
