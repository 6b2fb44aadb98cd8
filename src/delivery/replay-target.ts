import { type Offset, formatOffset, isHole } from '../contract/offset.js';
import { encodeGap } from '../contract/packet.js';
import { roomsOfEntry } from '../contract/rooms.js';
import type { JournalEntry } from '../journal/journal.js';
import type { ReplayTarget } from './replay.js';

/** A client that is sent what it has missed, as a door shows it. */
export interface ReplayedClient {
  /** Whether it is still there and has not been cut. */
  isOpen(): boolean;
  /** Bytes that wait for it to read them. */
  bufferedBytes(): number;
  /** Sends packets, in order. The caller sees to it that there is room for them. */
  sendAll(packets: readonly string[]): void;
}

/** What a client is sent, and how much at once. */
export interface ReplayTargetOptions {
  readonly client: ReplayedClient;
  /** What it wants. */
  readonly rooms: ReadonlySet<string>;
  readonly encode: (entry: JournalEntry) => string;
  /** Bytes in flight at most. */
  readonly windowBytes: number;
  readonly onReplayed: (entries: number) => void;
}

/** The place before an entry. */
function before({ epoch, seq }: Offset): Offset {
  return { epoch, seq: seq - 1 };
}

/** The packet that reports the entries lost between two places; empty if none are. */
function holePacket(previous: Offset, entry: JournalEntry): string {
  if (!isHole(previous, entry)) return '';
  return encodeGap({ reason: 'epoch', requested: formatOffset(previous), resumed: formatOffset(before(entry)) });
}

/** The receiving end of a replay: takes of the entries what the client wants, as far as it has room. */
export function replayTarget(options: ReplayTargetOptions): Pick<ReplayTarget<JournalEntry>, 'isOpen' | 'send'> {
  const { client, rooms, encode, windowBytes, onReplayed } = options;
  return {
    isOpen: () => client.isOpen(),
    send(entries, after) {
      let previous = after;
      const bufferedBytes = client.bufferedBytes();
      let roomBytes = windowBytes - bufferedBytes;
      const packets: string[] = [];
      let taken = 0;
      let wanted = 0;
      for (const entry of entries) {
        const isWanted = roomsOfEntry(entry).some((name) => rooms.has(name));
        const hole = holePacket(previous, entry);
        previous = entry;
        if (isWanted || hole !== '') {
          const packet = isWanted ? encode(entry) : '';
          roomBytes -= Buffer.byteLength(packet) + hole.length;
          // A packet larger than the window goes alone.
          if (roomBytes < 0 && (packets.length > 0 || bufferedBytes > 0)) break;
          if (hole !== '') packets.push(hole);
          if (isWanted) {
            packets.push(packet);
            if (!entry.deleted) wanted++;
          }
        }
        taken++;
      }
      client.sendAll(packets);
      onReplayed(wanted);
      return taken;
    },
  };
}
