// A process of light clients: bare readers of frames that reconnect and recover as the stock client does, at a tenth of its cost.
import { Client, type ClientEvents } from '../load/client.js';
import { nowMicros } from '../load/message.js';
import { Group, Wanted } from '../load/tally.js';
import { ClientCounts, obey } from './client-report.js';

const CONCURRENCY = 20;

const counts = new ClientCounts();
const { totals } = counts;
const clients: Client[] = [];

function fail(reason: string): never {
  process.stderr.write(`a light client failed: ${reason}\n`);
  process.exit(1);
}

function make(port: number, index: number): Client {
  let since = Infinity;
  counts.received[index] = 0;
  const events: ClientEvents = {
    onSignal: (client, n, due) => {
      const taken = client.seen.take(n);
      if (taken === 'twice') totals.twice++;
      if (taken === 'late') totals.outOfOrder++;
      counts.got(index, due, since);
    },
    onReconnected: (_client, recovered) => {
      since = nowMicros();
      counts.reconnected(recovered);
    },
    onDropped: (_client, reason) => fail(reason),
    onBroken: fail,
    onBack: () => {},
  };
  const identity = { index, group: new Group(), wanted: new Wanted(), topics: undefined, slow: false };
  // It goes to one port, the load balancer's, however many pods are behind it.
  const client = new Client(identity, { ports: [port], clients: 0, workers: 1, signals: 0, reconnect: true }, events);
  clients.push(client);
  void client.connect().then(
    () => {
      since = nowMicros();
      totals.connected++;
      onConnected();
    },
    (error: unknown) => fail(String(error)),
  );
  return client;
}

let onConnected = (): void => {};

obey(
  counts,
  ({ port, count }) => {
    let next = 0;
    onConnected = () => {
      if (next < count) make(port, next++);
    };
    for (let i = 0; i < CONCURRENCY; i++) onConnected();
  },
  // What lies between signals that are there; what is missing at the end is in the number received.
  () => clients.reduce((sum, { seen }) => sum + seen.missing(0), 0),
);
