// A process of stock clients, with the stock client's own settings.
import { io } from 'socket.io-client';
import { nowMicros } from '../load/message.js';
import { parseOffset } from '../../src/contract/offset.js';
import { HOST } from '../../test/support/processes.js';
import { ClientCounts, obey } from './client-report.js';

const counts = new ClientCounts();
const { totals } = counts;

function open(port: number, index: number, isPolling: boolean): void {
  const socket = io(`http://${HOST}:${port}`, {
    forceNew: true,
    timeout: 60_000,
    // The load balancer's cookie leads each request of a long-polling session to its pod.
    ...(isPolling ? { transports: ['polling'], withCredentials: true } : { transports: ['websocket'] }),
  });
  let last: { epoch: string; seq: number } | undefined;
  let since = Infinity;
  counts.received[index] = 0;
  socket.on('disconnect', () => (since = Infinity));
  socket.on('welcome', (_message: unknown, offset: string) => {
    since = nowMicros();
    if (last === undefined) totals.connected++;
    else counts.reconnected(socket.recovered);
    last ??= parseOffset(offset);
  });
  socket.on('gap', () => totals.gaps++);
  socket.on('new_signal', ({ at }: { at: string }, offset: string) => {
    const place = parseOffset(offset);
    if (place === undefined || last === undefined || place.epoch !== last.epoch) totals.lost++;
    else if (place.seq === last.seq) totals.twice++;
    else if (place.seq < last.seq) totals.outOfOrder++;
    else totals.lost += place.seq - last.seq - 1;
    if (place !== undefined && (last === undefined || place.seq > last.seq)) last = place;
    counts.got(index, Number(at), since);
  });
}

obey(counts, ({ port, count, polling }) => {
  for (let i = 0; i < count; i++) setTimeout(open, i * 2, port, i, i < polling);
});
