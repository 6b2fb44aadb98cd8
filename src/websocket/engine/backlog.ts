import type { Socket as Connection } from 'engine.io';
import { waitingCharacters } from './native-socket.js';

/** An Engine.IO packet that is about to wait for its client. */
interface Packet {
  readonly data?: string | Buffer;
}

/**
 * Cuts a client of engine.io's once more than the limit waits for it, whatever was written: a client on long-polling can
 * send, and so have answers and heartbeats written to it, without ever polling. (For a WebSocket uWebSockets.js counts.)
 *
 * @param limit - characters, beside those of a packet that came while nothing waited: however large, a packet has to wait until
 *   the next poll
 * @param onSlow - called just before the client is cut
 */
export function limitBacklog(connection: Connection, limit: number, onSlow: () => void): void {
  let waiting = 0;
  /** Of the packet that everything else waits behind. */
  let first = 0;
  const isOver = (): boolean => waiting - first > limit;
  connection.on('packetCreate', ({ data }: Packet) => {
    const wasOver = isOver();
    if (waiting === 0) first = data?.length ?? 0;
    waiting += data?.length ?? 0;
    // Once, with the packet that takes it over the limit. Not inside this event, after which engine.io goes on writing.
    if (wasOver || !isOver()) return;
    process.nextTick(() => {
      if (!isOver()) return;
      onSlow();
      connection.close(true);
    });
  });
  connection.on('drain', () => {
    // An answer to a poll takes only so many.
    waiting = waitingCharacters(connection);
    first = 0;
  });
}
