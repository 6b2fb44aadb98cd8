import type { TemplatedApp } from 'uWebSockets.js';
import { EXIT, StartError } from '../errors.js';
import { type Listener, listen } from './listener.js';
import { type GuardOptions, GuardedApp, type Handler, type RoutedApp, type SocketBehavior } from './guarded-app.js';
import type { Uws } from './uws.js';

/** Where the public port's certificate and key are. */
interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** What uWebSockets.js has for apps that share a listen socket; its typings lack it. */
interface SharingApp extends TemplatedApp {
  getDescriptor(): unknown;
  /** From now on hands accepted connections to the child apps, in turn. */
  addChildAppDescriptor(descriptor: unknown): void;
  removeChildAppDescriptor(descriptor: unknown): void;
}

/** An app with its guard. */
interface Served {
  readonly native: SharingApp;
  readonly guarded: GuardedApp;
}

/**
 * The app behind the public port. With TLS its certificate can be renewed: an app of uWebSockets.js keeps the certificate
 * it was made with, so one app listens and hands every connection to the newest of the others, which has the routes.
 * Clients of older apps stay connected and get everything that is published.
 */
export class PublicApp implements RoutedApp {
  readonly #uws: Uws;
  readonly #tls: TlsFiles | undefined;
  readonly #guard: GuardOptions;
  readonly #routes: ((app: RoutedApp) => void)[] = [];
  /** Listens. */
  readonly #door: SharingApp;
  /**
   * The newest is the last. Old ones stay: a long-polling client may open its WebSocket over a kept connection at any
   * time, and an app that nobody uses costs one empty publish.
   */
  readonly #apps: Served[];
  #listener: Listener | undefined;

  /** @throws {@link StartError} when the files are not a certificate and its key */
  constructor(uws: Uws, tls: TlsFiles | undefined, guard: GuardOptions) {
    this.#uws = uws;
    this.#tls = tls;
    this.#guard = guard;
    this.#door = this.#make();
    if (tls === undefined) {
      this.#apps = [this.#guarded(this.#door)];
    } else {
      const first = this.#make();
      this.#door.addChildAppDescriptor(first.getDescriptor());
      this.#apps = [this.#guarded(first)];
    }
  }

  any(pattern: string, handler: Handler): this {
    return this.#add((app) => app.any(pattern, handler));
  }

  options(pattern: string, handler: Handler): this {
    return this.#add((app) => app.options(pattern, handler));
  }

  ws<UserData>(pattern: string, behavior: SocketBehavior<UserData>): this {
    return this.#add((app) => app.ws(pattern, behavior));
  }

  /** Sends a text message to all subscribers, whichever app they came through. */
  publish(topic: string, text: string | Uint8Array, compress = false): void {
    for (const { native } of this.#apps) native.publish(topic, text, false, compress);
  }

  /** Counts the subscribers, whichever app they came through. */
  numSubscribers(topic: string): number {
    return this.#apps.reduce((sum, { native }) => sum + native.numSubscribers(topic), 0);
  }

  /**
   * @returns the port in use
   * @throws {@link StartError} when it cannot be used
   */
  async listen(host: string, port: number): Promise<number> {
    this.#listener = await listen(this.#uws, this.#door, { host, port, role: 'PORT' });
    return this.#listener.port;
  }

  /**
   * Serves new clients with the certificate that the files have now. Connected clients notice nothing. Only with TLS.
   *
   * @throws {@link StartError} when the files are not a certificate and its key; the old certificate stays active then
   */
  renew(): void {
    const former = this.#newest();
    const app = this.#make();
    const served = this.#guarded(app);
    for (const route of this.#routes) route(served.guarded);
    this.#apps.push(served);
    this.#door.addChildAppDescriptor(app.getDescriptor());
    this.#door.removeChildAppDescriptor(former.native.getDescriptor());
  }

  /** Takes no new connections. May be called twice. */
  stopListening(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  /** Closes every connection. */
  close(): void {
    for (const app of new Set([this.#door, ...this.#apps.map(({ native }) => native)])) app.close();
  }

  #make(): SharingApp {
    if (this.#tls === undefined) return this.#uws.App() as SharingApp;
    const { certFile, keyFile } = this.#tls;
    try {
      return this.#uws.SSLApp({ cert_file_name: certFile, key_file_name: keyFile }) as SharingApp;
    } catch {
      // The module does not say what is wrong.
      throw new StartError(
        `TLS_CERT (${certFile}) and TLS_KEY (${keyFile}) are not a PEM certificate and its key.`,
        EXIT.failed,
      );
    }
  }

  #guarded(native: SharingApp): Served {
    return { native, guarded: new GuardedApp(native, this.#guard) };
  }

  #newest(): Served {
    const app = this.#apps.at(-1);
    if (app === undefined) throw new Error('there is always an app');
    return app;
  }

  #add(route: (app: RoutedApp) => void): this {
    this.#routes.push(route);
    route(this.#newest().guarded);
    return this;
  }
}
