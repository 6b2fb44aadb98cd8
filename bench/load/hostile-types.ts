/** What clients do that would hurt others; all of it is within the limits of one client. */
export type Attack =
  | {
      /** Clients that come back to a place, with a topic that nothing matches; each again and again. */
      readonly kind: 'recover';
      readonly clients: number;
      readonly offset: string;
    }
  | {
      /** Clients that replace all of their topics as often as they may. */
      readonly kind: 'subscribe';
      readonly clients: number;
    }
  | {
      /** Readers of everything that is posted under {@link BULK}, and the largest request that is legal, once a second. */
      readonly kind: 'batch';
      readonly clients: number;
      readonly publishUrl: string;
      /** Bytes of each of its signals. */
      readonly signalBytes: number;
    }
  | {
      /** The same readers, and nobody who posts. */
      readonly kind: 'read';
      readonly clients: number;
    };

/** The symbol of what the readers of an attack want, and honest clients do not. */
export const BULK = 'BULK';

/** What the process of hostile clients is told. */
export type HostileOrder =
  | { readonly do: 'attack'; readonly port: number; readonly attack: Attack }
  /** Stop, and tell what came of it; readers go on until they have all of the signals. @param bulk - posted by others */
  | { readonly do: 'stop'; readonly bulk: number };

/** What came of an attack. */
export interface HostileReport {
  /** How often it was carried out: connects, messages or requests. */
  readonly done: number;
  /** In seconds. */
  readonly seconds: number;
  /** Of the readers: connections that ended, and what they missed or got wrong. */
  readonly cut: number;
  readonly received: number;
  readonly lost: number;
  readonly twice: number;
  readonly outOfOrder: number;
}

/** What the process tells. */
export type FromHostile =
  | { readonly kind: 'ready' }
  /** All of its clients are connected, and the attack is under way. */
  | { readonly kind: 'begun' }
  | { readonly kind: 'stopped'; readonly report: HostileReport }
  | { readonly kind: 'broken'; readonly reason: string };
