import { FrameClient } from './frame-client.js';
import { httpRequest } from './http.js';
import type { Pod } from './pod.js';
import { PollingSession } from './polling-session.js';
import type { Cleanup } from './processes.js';
import { until } from './until.js';

/** The ways over which Socket.IO packets go. */
export const WAYS = ['a WebSocket', 'a WebSocket after an upgrade', 'long-polling'] as const;

/** A way over which Socket.IO packets go. */
export type Way = (typeof WAYS)[number];

/** Opens a WebSocket, or brings a session over to one. @returns it, with nothing of Engine.IO's beginning left to read */
export async function openSocket(cleanup: Cleanup, pod: Pod, way: Exclude<Way, 'long-polling'>): Promise<FrameClient> {
  if (way === 'a WebSocket') {
    const client = await FrameClient.open(cleanup, pod);
    await client.next();
    return client;
  }
  const { sid } = await PollingSession.begin(pod);
  const client = await FrameClient.open(cleanup, pod, { sid });
  client.send('2probe', '5');
  await client.next();
  return client;
}

/** A client that speaks Socket.IO packet by packet, whatever the transport. */
export class PacketClient {
  readonly #session: PollingSession | FrameClient;
  /** Packets of a poll that {@link next} has not taken. */
  readonly #polled: string[] = [];

  private constructor(session: PollingSession | FrameClient) {
    this.#session = session;
  }

  /** Opens a session that joins no namespace. */
  static async open(cleanup: Cleanup, pod: Pod, way: Way): Promise<PacketClient> {
    return new PacketClient(
      way === 'long-polling' ? await PollingSession.begin(pod) : await openSocket(cleanup, pod, way),
    );
  }

  /** Sends Socket.IO packets, and bytes that belong to them. */
  async send(...packets: readonly (string | Uint8Array)[]): Promise<void> {
    const messages = packets.map((packet) => (typeof packet === 'string' ? `4${packet}` : packet));
    if (this.#session instanceof FrameClient) {
      this.#session.send(...messages);
      return;
    }
    const texts = messages.map((one) => (typeof one === 'string' ? one : `b${Buffer.from(one).toString('base64')}`));
    await this.#session.post(texts.join('\x1e'));
  }

  /** Waits for the next Socket.IO packet that begins so, and passes over those before it. */
  async next(beginning = ''): Promise<string> {
    for (;;) {
      const packet = await this.#packet();
      if (packet.startsWith(`4${beginning}`)) return packet.slice(1);
    }
  }

  /** Joins the main namespace and waits for the welcome. @returns the id of its socket */
  async connect(): Promise<string> {
    await this.send('0');
    const { sid } = JSON.parse((await this.next('0')).slice(1)) as { sid: string };
    await this.next('2["welcome"');
    return sid;
  }

  /**
   * Waits until the connection is closed by the other side, in an orderly way; over long-polling, until its session is unknown.
   *
   * @returns true
   */
  async closed(): Promise<true> {
    const session = this.#session;
    if (session instanceof FrameClient) await session.closed();
    else await until('the session to be over', async () => (await httpRequest(session.url)).status === 400);
    return true;
  }

  async #packet(): Promise<string> {
    const session = this.#session;
    if (session instanceof FrameClient) return String(await session.next());
    while (this.#polled.length === 0) this.#polled.push(...(await session.poll()));
    return this.#polled.shift() ?? '';
  }
}
