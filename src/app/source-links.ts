import type { Logger } from 'pino';
import type { Config } from '../config/config.js';
import type { FeedEvent } from '../contract/events.js';
import { SOURCE_PAGE_SCRIPT } from '../ingest/source-page.js';
import type { RejectedMessage } from '../ingest/rejections.js';
import { type SourceJournal, SourceStream } from '../ingest/source-stream.js';
import { SourceIds } from '../journal/source-ids.js';
import type { RedisCommands, RedisConnections } from '../redis/connections.js';
import { faultOf } from '../redis/fault.js';
import { RedisLink } from '../redis/link.js';
import { luaScript } from '../redis/lua-script.js';
import type { RedisState } from '../redis/redis-state.js';

/** How {@link SourceLinks} is set up, and its callbacks. */
export interface SourceLinksOptions {
  readonly config: Pick<Config, 'signalStream' | 'statusStream' | 'maxSignalBytes'>;
  readonly connections: Pick<RedisConnections, 'keyed' | 'explain'>;
  readonly journal: SourceJournal;
  /** The token of the lease of the bridge while this pod may append, else `undefined`. */
  readonly token: () => string | undefined;
  /** Is told whether the streams can be read. */
  readonly state: Pick<RedisState, 'lost' | 'back'>;
  /** Called with how many messages of a stream this pod has put into the journal. */
  readonly onSourced: (event: FeedEvent, count: number) => void;
  readonly onRejected: (rejected: RejectedMessage) => void;
  /** Called when entries were taken out of a stream before they were read. */
  readonly onSourceLost: (event: FeedEvent, count: number) => void;
  readonly log: Logger;
}

/** The names of the source streams, with the event that each is for. */
export function sourceStreams({
  signalStream,
  statusStream,
}: SourceLinksOptions['config']): readonly (readonly [stream: string, event: FeedEvent])[] {
  const all = [
    [signalStream, 'new_signal'],
    [statusStream, 'status_update'],
  ] as const;
  return all.flatMap(([stream, event]) => (stream === undefined ? [] : [[stream, event] as const]));
}

/**
 * The source streams, each on a connection of its own: one that waits for entries holds up nobody, and on a cluster each may be
 * on another node.
 */
export class SourceLinks {
  readonly #options: SourceLinksOptions;
  readonly #streams: readonly SourceStream[];
  readonly #links: readonly RedisLink<RedisCommands>[];
  /** Streams that can be read now. */
  readonly #up = new Set<string>();

  constructor(options: SourceLinksOptions) {
    this.#options = options;
    const script = luaScript(SOURCE_PAGE_SCRIPT);
    const { config, journal, token, onSourced, onRejected, onSourceLost, log } = options;
    const built = sourceStreams(config).map(([stream, event]) => {
      const source = new SourceStream({
        stream,
        event,
        maxBytes: config.maxSignalBytes,
        journal,
        ids: new SourceIds(stream),
        script,
        token,
        onAppended: (count) => onSourced(event, count),
        onRejected,
        onLost: (count) => onSourceLost(event, count),
        log,
      });
      return { source, link: this.#buildLink(stream, source) };
    });
    this.#streams = built.map(({ source }) => source);
    this.#links = built.map(({ link }) => link);
  }

  /** Begins to connect. May be called twice. */
  start(): void {
    for (const link of this.#links) link.start();
  }

  /** Notes that this pod holds the lease now. */
  leaseTaken(): void {
    for (const stream of this.#streams) stream.leaseTaken();
  }

  /** Notes an entry of the journal. */
  seen(entry: { readonly id: string }): void {
    for (const stream of this.#streams) stream.seen(entry);
  }

  /** Ends the connections. May be called twice. */
  async stop(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.stop()));
  }

  #buildLink(stream: string, source: SourceStream): RedisLink<RedisCommands> {
    const { connections, state, log } = this.#options;
    return new RedisLink<RedisCommands>({
      purpose: `source stream ${stream}`,
      connect: () => connections.keyed('source'),
      explain: (error) => connections.explain(error),
      session: (redis, up) => source.session(redis, up),
      onLink: (up, error) => {
        if (up) {
          this.#up.add(stream);
          if (this.#up.size === this.#streams.length) state.back('sources');
        } else {
          this.#up.delete(stream);
          state.lost('sources', faultOf(error));
        }
      },
      log,
    });
  }
}
