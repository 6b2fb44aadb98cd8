import { fileURLToPath } from 'node:url';
import { CalledServer, type Step } from './called-server.js';
import { Child, type Cleanup, HOST } from './processes.js';

const MAIN = fileURLToPath(new URL('foreign-app.mjs', import.meta.url));

/** A stock Socket.IO application on the Redis of a gateway, whose server a test can call. */
export class ForeignApp {
  readonly #server: CalledServer;
  readonly #port: number;

  private constructor(server: CalledServer, port: number) {
    this.#server = server;
    this.#port = port;
  }

  /**
   * Starts one and waits until it listens.
   *
   * @param env - `REDIS_URL`; `KEY` of its adapter; `FORMER_HEAD`: it answers as a pod of version 0.1 at this offset
   */
  static async start(cleanup: Cleanup, env: Readonly<Record<string, string>>): Promise<ForeignApp> {
    const child = cleanup.add(new Child(process.execPath, [MAIN], { HOST, ...env }, undefined, true), (self) =>
      self.kill(),
    );
    const port = await new Promise<number>((resolve, reject) => {
      child.process.once('message', (message) => resolve((message as { port: number }).port));
      void child.exit.then(() => reject(new Error(`the application has ended: ${child.stderr}`)));
    });
    return new ForeignApp(new CalledServer(child), port);
  }

  get url(): string {
    return `http://${HOST}:${this.#port}`;
  }

  /** As {@link CalledServer.call}. */
  call(...steps: readonly Step[]): Promise<unknown> {
    return this.#server.call(...steps);
  }
}
