// A process of hostile clients: carries out one attack until it is told to stop.
import { randomBytes } from 'node:crypto';
import { type Socket, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientEvents } from './client.js';
import { clientFrame, upgradeRequest } from './frames.js';
import { type Attack, BULK, type FromHostile, type HostileOrder } from './hostile-types.js';
import { postSignals } from './post.js';
import { Group, Wanted } from './tally.js';

const HOST = '127.0.0.1';
/** One that comes back is back so long before it does so again. */
const RECOVER_EVERY_MS = 2000;
const TOPICS = 1000;
/** Default of MAX_BYTES_PER_SECOND, and the share of it that is used: who floods is cut. */
const MAX_BYTES_PER_SECOND = 262_144;
const SHARE = 0.8;
/** What is legal in one request. */
const BATCH = 1000;
/** For readers to get what was published before they were told to stop. */
const READ_LIMIT_MS = 60_000;

function tell(message: FromHostile): void {
  process.send?.(message);
}

/** What was done, and what the readers saw. */
const report = { done: 0, cut: 0, received: 0, twice: 0, outOfOrder: 0 };
const readers: Client[] = [];
const stop = new AbortController();
let begunAt = 0;
/** Signals for the readers that this process has posted. */
let posted = 0;

/** A WebSocket that is open. What comes in is handed on as it lies on the wire. */
function open(port: number, onData: (data: Buffer) => void): Promise<Socket> {
  const socket = connect({ host: HOST, port, noDelay: true });
  socket.on('error', () => {});
  socket.write(upgradeRequest(`${HOST}:${port}`, 'bare'));
  return new Promise((resolve) => {
    let isOpen = false;
    socket.on('close', () => resolve(socket));
    socket.on('data', (data: Buffer) => {
      onData(data);
      if (isOpen || !data.includes(' 101 ')) return;
      isOpen = true;
      resolve(socket);
    });
  });
}

/** @param share - of the way from the first client to the last: all come at once at first, then evenly */
async function recover(port: number, offset: string, share: number): Promise<void> {
  for (let round = 0; !stop.signal.aborted; round++) {
    const socket = await open(port, () => {});
    const pid = randomBytes(15).toString('base64url');
    socket.write(clientFrame(`40${JSON.stringify({ pid, offset, topics: ['NOTHING'] })}`));
    report.done++;
    await sleep(RECOVER_EVERY_MS * (round === 0 ? 1 + share : 1));
    socket.destroy();
  }
}

/** A thousand topics. @param first - a letter that the other set does not have */
function topicSet(first: string): string {
  return JSON.stringify(Array.from({ length: TOPICS }, (_, i) => first + i.toString(36).padStart(2, '0')));
}

const SETS = [topicSet('x'), topicSet('y')];

async function subscribe(port: number): Promise<void> {
  const welcome = new AbortController();
  const socket = await open(port, (data) => {
    if (data.includes('"welcome"')) welcome.abort();
  });
  socket.write(clientFrame('40'));
  while (!welcome.signal.aborted && !socket.destroyed) await sleep(10);
  const everyMs = (1000 * ((SETS[0] ?? '').length + 20)) / (SHARE * MAX_BYTES_PER_SECOND);
  const beginMs = performance.now();
  for (let i = 0; !stop.signal.aborted && !socket.destroyed; i++) {
    socket.write(clientFrame(`42${i % 10}["subscribe",${SETS[i & 1]}]`));
    report.done++;
    await sleep(Math.max(0, beginMs + (i + 1) * everyMs - performance.now()));
  }
  if (socket.destroyed) report.cut++;
  socket.destroy();
}

const EVENTS: ClientEvents = {
  onSignal: (client, n) => {
    report.received++;
    const taken = client.seen.take(n);
    if (taken === 'twice') report.twice++;
    if (taken === 'late') report.outOfOrder++;
  },
  onReconnected: () => report.cut++,
  onDropped: () => report.cut++,
  onBack: () => {},
  onBroken: (reason) => tell({ kind: 'broken', reason }),
};

async function connectReaders(port: number, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const identity = { index, group: new Group(), wanted: new Wanted(), topics: [BULK], slow: false };
    const client = new Client(
      identity,
      { ports: [port], clients: count, workers: 1, signals: 0, reconnect: true },
      EVENTS,
    );
    readers.push(client);
    await client.connect();
  }
}

async function postBatches(publishUrl: string, payload: number): Promise<void> {
  for (let second = 1; !stop.signal.aborted; second++) {
    await postSignals({ publishUrl }, { from: posted, signals: BATCH, payload, symbol: BULK });
    posted += BATCH;
    report.done++;
    await sleep(Math.max(0, begunAt + second * 1000 - performance.now()));
  }
}

async function carryOut(port: number, attack: Attack): Promise<unknown> {
  const each = (run: (index: number) => Promise<void>): Promise<unknown> =>
    Promise.all(Array.from({ length: attack.clients }, (_, index) => run(index)));
  if (attack.kind === 'batch' || attack.kind === 'read') await connectReaders(port, attack.clients);
  begunAt = performance.now();
  tell({ kind: 'begun' });
  if (attack.kind === 'recover') return each((index) => recover(port, attack.offset, index / attack.clients));
  if (attack.kind === 'subscribe') return each(() => subscribe(port));
  if (attack.kind === 'batch') return postBatches(attack.publishUrl, attack.signalBytes);
  return undefined;
}

/** Waits until the readers have everything, or nothing comes any more. @returns what they miss */
async function settle(bulk: number): Promise<number> {
  const missing = (): number => readers.reduce((sum, { seen }) => sum + seen.missing(bulk), 0);
  const end = performance.now() + READ_LIMIT_MS;
  while (missing() > 0 && performance.now() < end) await sleep(20);
  return missing();
}

let running: Promise<unknown> = Promise.resolve();
process.on('message', (order: HostileOrder) => {
  if (order.do === 'attack') {
    running = carryOut(order.port, order.attack);
    running.catch((error: unknown) => tell({ kind: 'broken', reason: String(error) }));
    return;
  }
  stop.abort();
  const seconds = (performance.now() - begunAt) / 1000;
  void running
    .then(() => settle(posted + order.bulk))
    .then((lost) => tell({ kind: 'stopped', report: { ...report, lost, seconds } }));
});
process.on('disconnect', () => process.exit());
tell({ kind: 'ready' });
