// A process full of clients: connects them, counts and times what they get, and tells the bench when it is asked.
import { writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { Client, type ClientEvents, GOLDEN } from './client.js';
import type { FleetPlan, FromWorker, GroupCounts, ToWorker, WorkerTask } from './fleet-types.js';
import { symbolName, symbolsOf } from './message.js';
import { Group, Times, Wanted } from './tally.js';

const CONCURRENCY = 50;
/** How often the clients are looked over while they are awaited, and the progress of connecting is told. */
const LOOK_MS = 20;
/** How often it is told, in looks, that something still comes. */
const LOOKS_A_WORD = 10;

function tell(message: FromWorker): void {
  process.send?.(message);
}

/** All clients of this process. */
class Worker implements ClientEvents {
  readonly #plan: FleetPlan;
  readonly #worker: number;
  readonly #clients: Client[] = [];
  readonly #normal = new Group();
  readonly #slow = new Group();
  readonly #times: Times;
  readonly #samples: string[] = [];
  #base = 0;
  #from = 0;
  #lastBackAt = 0;
  #cpu = process.cpuUsage();
  #look: NodeJS.Timeout | undefined;

  constructor({ plan, worker }: WorkerTask) {
    this.#plan = plan;
    this.#worker = worker;
    this.#times = new Times(plan.signals);
    this.#base = plan.from ?? 0;
    // What was missed is late by nature.
    if (plan.offset !== undefined) this.#from = plan.signals;
    for (let index = worker; index < plan.clients; index += plan.workers) this.#clients.push(this.#client(index));
  }

  #client(index: number): Client {
    const { topics, slow } = this.#plan;
    const symbols = topics === undefined ? [] : symbolsOf(index, topics);
    // Slow clients are spread evenly over workers and pods.
    const isSlow = slow !== undefined && ((index + 1) * GOLDEN) % 1 < slow.share;
    const group = isSlow ? this.#slow : this.#normal;
    group.clients++;
    const identity = {
      index,
      group,
      wanted: new Wanted(topics, symbols),
      topics: topics && symbols.map((symbol) => symbolName(symbol, topics.symbols)),
      slow: isSlow,
    };
    return new Client(identity, this.#plan, this);
  }

  /** Connects all clients, several at a time. */
  async connect(): Promise<void> {
    let connected = 0;
    const progress = setInterval(() => tell({ kind: 'connected', clients: connected, all: false }), LOOK_MS * 5);
    const isReturning = this.#plan.offset !== undefined;
    const welcomes: Promise<void>[] = [];
    try {
      const rest = this.#clients.values();
      const lane = async (): Promise<void> => {
        for (const client of rest) {
          await new Promise<void>((resolve, reject) => {
            const welcome = client.connect(isReturning ? resolve : undefined).then(() => void connected++);
            welcome.then(resolve, reject);
            welcomes.push(welcome);
          });
        }
      };
      await Promise.all(Array.from({ length: this.#plan.concurrency ?? CONCURRENCY }, lane));
      await Promise.all(welcomes);
    } finally {
      clearInterval(progress);
    }
    tell({ kind: 'connected', clients: connected, all: true });
  }

  onSignal(client: Client, n: number, dueMicros: number): void {
    const { group, wanted, index } = client.identity;
    const place = wanted.place(n);
    if (place < 0 || n >= this.#plan.signals) {
      this.onBroken(`client ${index}: it got signal ${n}, which it did not ask for`);
      return;
    }
    const taken = client.seen.take(place);
    if (n < this.#base) return;
    group.received++;
    if (taken === 'twice') {
      group.twice++;
      return;
    }
    group.unique++;
    if (taken === 'late') group.outOfOrder++;
    if (n < this.#from || group === this.#slow) return;
    const latency = this.#times.add(n, dueMicros, client.nowMicros);
    if (this.#plan.samples !== undefined) this.#samples.push(`${index},${n},${latency}\n`);
  }

  onDropped(client: Client): void {
    client.identity.group.dropped++;
  }

  onReconnected({ identity: { group } }: Client, recovered: boolean): void {
    group.reconnected++;
    if (recovered) group.recovered++;
  }

  onBack(now: number): void {
    this.#lastBackAt = now;
  }

  onBroken(reason: string): void {
    tell({ kind: 'broken', reason });
  }

  hasten(): void {
    for (const client of this.#clients) client.hasten();
  }

  begin(base: number, from: number): void {
    this.#base = base;
    this.#from = from;
    this.#normal.reset();
    this.#slow.reset();
    this.#times.reset();
    this.#samples.length = 0;
    this.#lastBackAt = 0;
    this.#cpu = process.cpuUsage();
    tell({ kind: 'begun' });
  }

  /** Tells once every client that is still there has everything, and until then that more has come; slow ones are not awaited. */
  await(published: number): void {
    // What was awaited before was given up.
    clearInterval(this.#look);
    let looks = 0;
    let told = this.#normal.received;
    this.#look = setInterval(() => {
      const waiting = this.#clients.some(
        ({ live, seen, identity: { slow, wanted } }) => live && !slow && seen.missing(wanted.below(published)) > 0,
      );
      if (waiting) {
        if (++looks % LOOKS_A_WORD !== 0 || this.#normal.received === told) return;
        told = this.#normal.received;
        tell({ kind: 'arriving' });
        return;
      }
      clearInterval(this.#look);
      tell({ kind: 'settled', published });
    }, LOOK_MS);
  }

  async report(published: number): Promise<void> {
    const { user, system } = process.cpuUsage(this.#cpu);
    const { samples } = this.#plan;
    if (samples !== undefined) await writeFile(`${samples}-${this.#worker}.csv`, this.#samples);
    const counts = (group: Group): GroupCounts => {
      let expected = 0;
      let silent = 0;
      for (const { identity, live, seen } of this.#clients) {
        if (identity.group !== group) continue;
        expected += identity.wanted.below(published) - identity.wanted.below(this.#base);
        if (live) silent += seen.missing(identity.wanted.below(published));
      }
      return group.counts(expected, silent);
    };
    tell({
      kind: 'report',
      report: {
        counts: counts(this.#normal),
        slow: counts(this.#slow),
        lastBackAt: this.#lastBackAt,
        ...this.#times.report(this.#from),
        cpuMillis: (user + system) / 1000,
      },
    });
  }
}

/** Does what the bench asks for. */
async function follow(worker: Worker, message: ToWorker): Promise<void> {
  if (message.kind === 'connect') await worker.connect();
  else if (message.kind === 'begin') worker.begin(message.base, message.from);
  else if (message.kind === 'hasten') worker.hasten();
  else if (message.kind === 'await') worker.await(message.published);
  else await worker.report(message.published);
}

process.once('message', (task: WorkerTask) => {
  setPriority(task.plan.niceness ?? 0);
  const worker = new Worker(task);
  const obey = (message: ToWorker): void => {
    follow(worker, message).catch((error: unknown) =>
      tell({ kind: 'broken', reason: error instanceof Error ? error.message : String(error) }),
    );
  };
  process.on('message', obey);
  obey(task);
});
process.on('disconnect', () => process.exit(0));
tell({ kind: 'ready' });
