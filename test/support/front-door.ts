import { type Server, type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';
import { type Cleanup, HOST } from './processes.js';

/** Something that listens, and may be dead. */
export interface Backend {
  readonly port: number;
  readonly child: { readonly exited: boolean };
}

/**
 * A load balancer for one client, with stickiness: a port whose connections go to one living pod, until they are cut or
 * the pod dies; then to another.
 */
export class FrontDoor {
  readonly #pods: readonly Backend[];
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; pod: Socket; stranded: boolean }>();
  #target: Backend | undefined;

  private constructor(pods: readonly Backend[]) {
    this.#pods = pods;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  /** @param pods - looked at for every choice, so pods may be added and removed */
  static async open(cleanup: Cleanup, pods: readonly Backend[]): Promise<FrontDoor> {
    const door = cleanup.add(new FrontDoor(pods), (self) => {
      self.cut();
      self.#server.close();
    });
    door.#server.listen(0, HOST);
    await once(door.#server, 'listening');
    return door;
  }

  get url(): string {
    return `http://${HOST}:${(this.#server.address() as { port: number }).port}`;
  }

  /** Breaks every connection, and sends the next ones to another pod if there is one. */
  cut(): void {
    for (const { client, pod } of this.#pairs) {
      client.resetAndDestroy();
      pod.resetAndDestroy();
    }
    this.#pairs.clear();
    this.#choose(this.#target);
  }

  /**
   * Breaks every connection on the client's side alone, as when a phone loses its network: the pods take them for open.
   *
   * @returns lets the pods notice
   */
  strand(): () => void {
    const stranded = [...this.#pairs];
    for (const pair of stranded) {
      pair.stranded = true;
      pair.client.resetAndDestroy();
    }
    return () => {
      for (const { pod } of stranded) pod.resetAndDestroy();
    };
  }

  /** Stops reading what the pod sends: to the pod the client reads no more. */
  pause(): void {
    for (const { pod } of this.#pairs) pod.pause();
  }

  /** Carries nothing in either direction any more, as when a network is gone: neither side is told. New connections work. */
  freeze(): void {
    for (const { client, pod } of this.#pairs) {
      client.pause();
      pod.pause();
    }
  }

  /** Reads again. */
  resume(): void {
    for (const { pod } of this.#pairs) pod.resume();
  }

  /** Sends the next connections to this pod. */
  use(pod: Backend): void {
    this.#target = pod;
  }

  #choose(not?: Backend): void {
    const living = this.#pods.filter((pod) => !pod.child.exited);
    const others = living.filter((pod) => pod !== not);
    const from = others.length > 0 ? others : living;
    this.#target = from[Math.floor(Math.random() * from.length)];
  }

  #accept(client: Socket): void {
    if (this.#target === undefined || this.#target.child.exited) this.#choose();
    if (this.#target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const pod = connect({ host: HOST, port: this.#target.port, noDelay: true });
    const pair = { client, pod, stranded: false };
    this.#pairs.add(pair);
    const end = (): void => {
      if (pair.stranded && !pod.destroyed) return;
      this.#pairs.delete(pair);
      client.destroy();
      pod.destroy();
    };
    for (const socket of [client, pod]) socket.on('error', end).on('close', end);
    client.pipe(pod);
    pod.pipe(client);
  }
}
