import type { Logger } from 'pino';
import { formatOffset } from '../contract/offset.js';
import type { JournalEntry, RecentEntries } from '../journal/journal.js';
import { Fanout, type FanoutTiming, type RoomPublisher } from './fanout.js';
import { deliveryLimits } from './limits.js';
import { LiveClients } from './live-clients.js';
import { type Loop, processLoop } from './loop.js';
import { Scheduler, type WalkedJournal } from './scheduler.js';

/** How clients are served. */
export interface DeliveryOptions {
  /** `MAX_BACKPRESSURE`: bytes that may wait for a client before the door drops something. */
  readonly maxBackpressureBytes: number;
  /** A client that takes nothing for so long is closed. */
  readonly slowTimeoutMs: number;
  /** Unset: that of this process. */
  readonly loop?: Loop;
  /** Called for every entry that is published. */
  readonly onDelivered: (timing: FanoutTiming) => void;
  /** As `SchedulerOptions` has it. */
  readonly onServed: (entries: number, isReplay: boolean) => void;
  readonly log: Logger;
}

/** A publisher that pings, too. */
export interface LivePublisher extends RoomPublisher {
  /** Pings every live client, behind what was published before. */
  ping(): void;
}

/** What the delivery is connected with once it is there. */
interface Connections {
  readonly journal: WalkedJournal;
  readonly rooms: LivePublisher;
}

/** Everything between the journal and the doors, connected: the live feed, and those who catch up. */
export class FeedDelivery {
  readonly fanout: Fanout;
  readonly live: LiveClients;
  readonly scheduler: Scheduler;
  #connections: Connections | undefined;

  constructor(options: DeliveryOptions) {
    const { maxBackpressureBytes, slowTimeoutMs, loop = processLoop, onDelivered, onServed, log } = options;
    const limits = deliveryLimits(maxBackpressureBytes);
    this.live = new LiveClients({
      limits,
      loop,
      publishPing: () => this.#connected.rooms.ping(),
      onBehind: (client) => {
        log.debug(
          { sid: client.id, place: formatOffset(this.fanout.place) },
          'client is behind; it gets a pace of its own',
        );
        this.scheduler.takeOver(client, this.fanout.place);
      },
    });
    this.fanout = new Fanout({
      rooms: { publish: (rooms, encode) => this.#connected.rooms.publish(rooms, encode) },
      live: this.live,
      limits,
      loop,
      current: (entry) => this.#connected.journal.current(entry),
      onMoved: () => this.scheduler.follow(),
      onGap: (packet, resumed) => this.scheduler.skip(packet, resumed),
      onDelivered,
    });
    this.scheduler = new Scheduler({
      journal: this.#lateJournal(),
      place: () => this.fanout.place,
      live: this.live,
      limits,
      loop,
      slowTimeoutMs,
      onServed,
      log,
    });
  }

  /** Connects it with what it reads from and what it writes to. MUST be called before anything is delivered. */
  connect(connections: Connections): void {
    this.#connections = connections;
  }

  /** Clients that have everything. */
  get upToDate(): number {
    return this.live.count + this.scheduler.followers;
  }

  /** Tells the clients of this pod about the gateway itself. */
  announce(status: 'active' | 'degraded', message: string): void {
    this.scheduler.tell(this.fanout.announce(status, message));
  }

  /** Tells a group of the clients that do not get every signal where they are. */
  checkpoint(group: number): void {
    this.fanout.checkpoint(group);
    this.scheduler.checkpoint(group);
  }

  get #connected(): Connections {
    if (this.#connections === undefined) throw new Error('the delivery is not connected yet');
    return this.#connections;
  }

  /** The journal, which is there later. */
  #lateJournal(): WalkedJournal {
    const journal = (): WalkedJournal => this.#connected.journal;
    return {
      get recent(): RecentEntries {
        return journal().recent;
      },
      older: (after) => journal().older(after),
      current: (entry: JournalEntry) => journal().current(entry),
    };
  }
}
