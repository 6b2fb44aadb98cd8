import type { FeedDelivery } from '../delivery/delivery.js';
import { MemoryTopicStore } from '../delivery/memory-topic-store.js';
import type { PublicApp } from '../http/public-app.js';
import { compressor } from '../http/uws.js';
import { type FeedSource, WebSocketManager } from '../websocket/websocket-manager.js';
import type { Base } from './base.js';
import type { JournalParts } from './build-journal.js';
import { connectionEvents } from './observers.js';

/** What the Socket.IO door is built from, beside the base. */
export interface WebSocketParts extends Pick<JournalParts, 'journal' | 'redis'> {
  readonly publicApp: PublicApp;
  readonly delivery: FeedDelivery;
  /** What this pod says about itself; JSON. */
  readonly describe: () => object;
}

/** Builds the Socket.IO door on the public app. */
export function buildWebSocket(base: Base, parts: WebSocketParts): WebSocketManager {
  const { config, uws, log, metrics, boundary, refusals, origins, memory } = base;
  const { publicApp, delivery, journal, redis, describe } = parts;
  return new WebSocketManager(publicApp, {
    transports: config.transports,
    pingIntervalMs: config.pingIntervalMs,
    pingTimeoutMs: config.pingTimeoutMs,
    maxPayload: config.maxPayloadBytes,
    compression: compressor(uws, config.compression),
    maxBackpressure: config.maxBackpressureBytes,
    welcomeMessage: config.welcomeMessage,
    origins,
    boundary,
    refusals,
    limits: config.limits,
    trustProxy: config.trustProxy,
    jwt: config.jwt,
    memory,
    describe,
    connectTimeoutMs: config.connectTimeoutMs,
    ...(redis && {
      adapter: redis.pods.adapter,
      otherPods: {
        pod: redis.pods.presence.pod,
        others: () => redis.pods.presence.others(),
        reachable: () => redis.linked,
        askFormer: (...call) => redis.pods.formerPods?.ask(...call) ?? Promise.resolve([]),
      },
      onReachable: (listener) => redis.onReachable(listener),
    }),
    topicStore: redis?.topicStore ?? new MemoryTopicStore(),
    feed: feedOf(journal, delivery),
    scheduler: delivery.scheduler,
    events: connectionEvents(metrics),
    log,
  });
}

/** What the Socket.IO door reads of the feed. */
function feedOf(journal: JournalParts['journal'], { fanout }: FeedDelivery): FeedSource {
  return {
    place: () => fanout.place,
    resolve: (offset) => journal.resolve(offset),
    statuses: () => fanout.statuses.packets(),
    ownStatus: () => fanout.ownStatus,
  };
}
