import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Socket, type ManagerOptions, type SocketOptions, io } from 'socket.io-client';
import { Child, type Cleanup, HOST } from './processes.js';
import { until } from './until.js';

/** The built gateway. */
export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface PodOptions {
  /** Whether to wait until it is ready for clients. @default true */
  readonly ready?: boolean;
  readonly nodeArgs?: readonly string[];
  /** A program to run in place of the gateway's own; it gets an IPC channel. */
  readonly main?: string;
  /** The niceness at which it starts; see {@link Pod.hurry}. @default 0 */
  readonly niceness?: number;
  /** How many open files it may have. */
  readonly openFiles?: number;
}

/** Pods that start at the same time: more of them take longer than one after the other. */
const STARTS_AT_ONCE = 3;
let starting = 0;

function spawnPod(env: Readonly<Record<string, string>>, options: PodOptions): Child {
  const { nodeArgs = [], main, niceness = 0, openFiles } = options;
  // There is no load balancer that would have to notice.
  const all = { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0', DRAIN_DELAY_SECONDS: '0', ...env };
  const [program, ...args] = [
    ...(niceness > 0 ? ['nice', '-n', String(niceness)] : []),
    ...(openFiles === undefined ? [] : ['prlimit', `--nofile=${openFiles}:${openFiles}`]),
    process.execPath,
    ...nodeArgs,
    main ?? MAIN,
  ];
  return new Child(program, args, all, undefined, main !== undefined);
}

/** Values of metrics by their series, such as `gateway_refusals_total{reason="origin"}`. */
type Series = ReadonlyMap<string, number>;

function seriesOf(text: string): Map<string, number> {
  return new Map([...text.matchAll(/^(\w+(?:\{.*\})?) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}

/** The sum over the label sets that match. */
function sumOf(series: Series, metric: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  let sum = 0;
  for (const [name, value] of series) {
    if (name.replace(/\{.*/, '') === metric && wanted.every((label) => name.includes(label))) sum += value;
  }
  return sum;
}

/** Whether a series only ever grows; the others tell what is now. */
function isCounter(series: string): boolean {
  return /^\w+_(?:total|count|sum|bucket)\b/.test(series);
}

function linesOf(log: string): Record<string, unknown>[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** For the clients of the tests before to leave a gateway; a new one is started in less. */
const VISIT_LIMIT_MS = 3000;

/** One gateway in a process of its own, on free ports. */
export class Pod {
  readonly child: Child;
  port = 0;
  adminPort = 0;
  /** What there was of counters and of the log before a {@link visit}. */
  #before: { readonly counters: Series; readonly log: number } = { counters: new Map(), log: 0 };

  private constructor(child: Child) {
    this.child = child;
  }

  /** Starts a gateway and waits until it listens; unless told otherwise, also until it is ready for clients. */
  static async start(
    cleanup: Cleanup,
    env: Readonly<Record<string, string>> = {},
    options: PodOptions = {},
  ): Promise<Pod> {
    await until('other pods to have started', () => starting < STARTS_AT_ONCE, { limit: 60_000 });
    starting++;
    try {
      const pod = cleanup.add(new Pod(spawnPod(env, options)), async (self) => {
        await self.child.kill();
      });
      const line = await until('the pod to serve', () => pod.logs().find(({ msg }) => msg === 'serving'), {
        seen: () => pod.output(),
        limit: 60_000,
      });
      pod.port = Number(line['port']);
      pod.adminPort = Number(line['adminPort']);
      if (options.ready !== false) await pod.ready();
      return pod;
    } finally {
      starting--;
    }
  }

  /**
   * The same gateway for another test: its counters and its log begin now, when the clients of the tests before are gone and
   * logged.
   *
   * @returns `undefined` if they stay: one on long-polling that left without a word is there until PING_TIMEOUT
   */
  async visit(): Promise<Pod | undefined> {
    const guest = new Pod(this.child);
    guest.port = this.port;
    guest.adminPort = this.adminPort;
    const series = await until(
      'the clients of the tests before to be gone',
      async () => {
        const now = await this.#series();
        const logged = this.#whole().filter(({ msg }) => msg === 'client disconnected').length;
        return sumOf(now, 'gateway_sessions') === 0 && logged >= sumOf(now, 'gateway_disconnects_total') && now;
      },
      { limit: VISIT_LIMIT_MS },
    ).catch(() => undefined);
    if (series === undefined) return undefined;
    const counters = new Map([...series].filter(([name]) => isCounter(name)));
    guest.#before = { counters, log: this.child.stdout.length };
    return guest;
  }

  /** Gives a pod that was started at a niceness the priority of others; only root may. */
  hurry(): void {
    // To Linux each thread is a process of its own here.
    for (const thread of readdirSync(`/proc/${this.child.process.pid}/task`)) setPriority(Number(thread), 0);
  }

  get url(): string {
    return `http://${HOST}:${this.port}`;
  }

  get adminUrl(): string {
    return `http://${HOST}:${this.adminPort}`;
  }

  async ready(): Promise<void> {
    await until('the pod to be ready', async () => (await fetch(`${this.adminUrl}/readyz`)).status === 200, {
      seen: () => this.output(),
      limit: 60_000,
    });
  }

  /** Waits until the pod says that it is not ready, for this reason. */
  async notReady(reason: string): Promise<void> {
    await until(
      `the pod not to be ready: ${reason}`,
      async () => {
        const answer = await fetch(`${this.adminUrl}/readyz`);
        return answer.status === 503 && (await answer.text()).includes(`"${reason}"`);
      },
      { seen: () => this.output(), limit: 30_000 },
    );
  }

  /** What was logged of errors that nobody handled. */
  faults(): Record<string, unknown>[] {
    return this.#whole().filter(({ msg }) => String(msg).startsWith('unhandled fault'));
  }

  /** The name that the pod goes by in logs and in Redis. */
  get name(): string {
    return String(this.#whole()[0]?.['pod']);
  }

  /** The log lines so far. */
  logs(): Record<string, unknown>[] {
    return linesOf(this.child.stdout.slice(this.#before.log));
  }

  /** The link from the log: whoever opens it may publish from the dashboard. */
  async dashboardLink(): Promise<string> {
    const line = await until(
      'the link in the log',
      () => this.#whole().find(({ dashboard }) => dashboard !== undefined),
      {
        seen: () => this.output(),
      },
    );
    return String(line['dashboard']);
  }

  output(): string {
    return `${this.child.stdout}${this.child.stderr}`;
  }

  /** The value of a metric, summed over the label sets that match. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return sumOf(await this.#series(), name, labels) - sumOf(this.#before.counters, name, labels);
  }

  /** Publishes through the publish API. */
  async post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return fetch(this.adminUrl + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
    });
  }

  async #series(): Promise<Map<string, number>> {
    return seriesOf(await (await fetch(`${this.adminUrl}/metrics`)).text());
  }

  /** The log from the start of the process on. */
  #whole(): Record<string, unknown>[] {
    return linesOf(this.child.stdout);
  }
}

/** A stock client that keeps everything it got. */
export class FeedClient {
  readonly socket: Socket;
  readonly signals: unknown[][] = [];
  readonly statuses: unknown[][] = [];
  readonly welcomes: unknown[][] = [];
  readonly other: unknown[][] = [];
  readonly disconnects: string[] = [];

  constructor(cleanup: Cleanup, url: string, options: Partial<ManagerOptions & SocketOptions> = {}) {
    this.socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
    cleanup.add(this.socket, () => this.socket.disconnect());
    this.socket.onAny((event: string, ...args: unknown[]) => {
      const lists: Record<string, unknown[][]> = {
        new_signal: this.signals,
        status_update: this.statuses,
        welcome: this.welcomes,
      };
      const list = lists[event];
      if (list === undefined) this.other.push([event, ...args]);
      else list.push(args);
    });
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
  }

  /** Connects and waits for the `welcome`. */
  static async connect(
    cleanup: Cleanup,
    url: string,
    options: Partial<ManagerOptions & SocketOptions> = {},
  ): Promise<FeedClient> {
    const client = new FeedClient(cleanup, url, options);
    await client.welcomed();
    return client;
  }

  /** What the gateway said of itself, so far. */
  get gatewayStates(): unknown[] {
    return this.statuses
      .map(([payload]) => payload as { service: string; status: string })
      .filter(({ service }) => service === 'gateway')
      .map(({ status }) => status);
  }

  /** The same, in words. */
  get gatewayWords(): string[] {
    return this.statuses
      .map(([payload]) => payload as { service: string; message: string })
      .filter(({ service }) => service === 'gateway')
      .map(({ message }) => message);
  }

  async welcomed(count = 1): Promise<void> {
    await until('a welcome', () => this.welcomes.length >= count, { seen: () => this });
  }

  /** What `until` prints of a client. */
  toJSON(): unknown {
    return {
      connected: this.socket.connected,
      transport: this.socket.io.engine?.transport?.name,
      signals: this.signals.length,
      statuses: this.statuses,
      welcomes: this.welcomes,
      disconnects: this.disconnects,
    };
  }
}

/** Waits until a signal is the newest one of every client. */
export async function everyoneHas(clients: readonly FeedClient[], price: number): Promise<void> {
  await until(
    `signal ${price} at every client`,
    () => clients.every(({ signals }) => (signals.at(-1)?.[0] as { price?: number } | undefined)?.price === price),
    { seen: () => clients },
  );
}

/** Waits until every client was told last that the gateway's link to Redis is so. */
export async function everyoneIsTold(clients: readonly FeedClient[], state: 'degraded' | 'active'): Promise<void> {
  await until(
    `every client to be told "${state}"`,
    () => clients.every(({ gatewayStates }) => gatewayStates.at(-1) === state),
    { seen: () => clients, limit: 60_000 },
  );
}
