import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import type { RecoveredData, Recovery } from '../delivery/recovery.js';
import type { AdapterFactory } from './adapter.js';
import { sessionId } from './engine/session-id.js';

/**
 * An adapter factory whose adapters recover sessions from the journal, through Socket.IO's own protocol.
 *
 * Socket.IO asks the adapter to restore a session when a client comes with `auth.pid` and `auth.offset`. The session given
 * back has no rooms and no packets: on uWebSockets.js rooms joined that early never become subscriptions, and the missed
 * entries are sent by the connection handler, paced, until the client may join its rooms.
 */
export function recoveringAdapter(base: AdapterFactory, recovery: Pick<Recovery, 'restore'>): AdapterFactory {
  const restoreSession = async (pid: string, offset: string): Promise<unknown> => {
    const data: RecoveredData | undefined = await recovery.restore(pid, offset);
    // A new sid: the client takes over whatever it is told, and two connections never share one.
    return data === undefined ? null : { sid: sessionId(), pid, rooms: [], missedPackets: [], data };
  };
  // What is kept of a session is the journal's, not the adapter's.
  const own = {
    restoreSession,
    persistSession: () => {},
    // The sharded adapter would end every broadcast in an offset of its own, which the client would take for ours.
    addOffsetIfNecessary: () => {},
  };
  // Socket.IO calls it with `new`, which an arrow function refuses.
  return function recoverable(namespace: Namespace): Adapter {
    return Object.assign(base(namespace), own);
  };
}
