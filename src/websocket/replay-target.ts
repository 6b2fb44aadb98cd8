import type { Socket as Connection } from 'engine.io';
import { type Offset, formatOffset, isHole } from '../contract/offset.js';
import { encodeGap } from '../contract/packet.js';
import { roomsOfEntry } from '../contract/rooms.js';
import type { JournalEntry } from '../journal/journal.js';
import { bufferedBytes, sendAll } from './engine/engine.js';
import type { ReplayTarget } from '../delivery/replay.js';

/** A client that is sent what it has missed. */
export interface ReplayTargetOptions {
  readonly connection: Connection;
  /** What it wants. */
  readonly rooms: ReadonlySet<string>;
  readonly encode: (entry: JournalEntry) => string;
  /** Bytes in flight at most: a slow client must not fill this process. */
  readonly window: number;
  readonly compress: boolean;
  readonly isOpen: () => boolean;
  readonly onReplayed: (entries: number) => void;
}

/** The place before an entry. */
function before({ epoch, seq }: Offset): Offset {
  return { epoch, seq: seq - 1 };
}

/** The packet that tells of entries that are lost between two places; empty where none is. */
function holePacket(previous: Offset, entry: JournalEntry): string {
  if (!isHole(previous, entry)) return '';
  return encodeGap({ reason: 'epoch', requested: formatOffset(previous), resumed: formatOffset(before(entry)) });
}

/** The receiving end of a replay: takes of the entries what the client wants, as far as it has room. */
export function replayTarget(options: ReplayTargetOptions): ReplayTarget<JournalEntry> {
  const { connection, rooms, encode, window, compress, isOpen, onReplayed } = options;
  return {
    isOpen,
    send(entries, after) {
      let previous = after;
      const buffered = bufferedBytes(connection);
      let room = window - buffered;
      const packets: string[] = [];
      let taken = 0;
      let wanted = 0;
      for (const entry of entries) {
        const isWanted = roomsOfEntry(entry).some((name) => rooms.has(name));
        const hole = holePacket(previous, entry);
        previous = entry;
        if (isWanted || hole !== '') {
          const packet = isWanted ? encode(entry) : '';
          room -= Buffer.byteLength(packet) + hole.length;
          // A packet larger than the window goes alone.
          if (room < 0 && (packets.length > 0 || buffered > 0)) break;
          if (hole !== '') packets.push(hole);
          if (isWanted) {
            packets.push(packet);
            if (!entry.deleted) wanted++;
          }
        }
        taken++;
      }
      sendAll(connection, packets, compress);
      onReplayed(wanted);
      return taken;
    },
  };
}
