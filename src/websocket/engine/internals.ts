import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type AttachOptions, type BaseServer, Socket, Transport, uServer } from 'engine.io';
import { EXIT, StartError } from '../../errors.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';

// The private members of engine.io that are used, all of them here: what they are, and a check that they are there.

/** An Engine.IO packet. */
export interface EnginePacket {
  readonly type: string;
  readonly data?: string | Buffer;
}

type SentCallback = (transport: unknown) => void;

/** What is used of engine.io's socket. */
export interface SocketInside {
  readonly readyState: string;
  /** Whether a WebSocket is tried out. */
  readonly upgrading: boolean;
  /** Whether it is on a WebSocket, and began on long-polling. */
  readonly upgraded: boolean;
  /** Waiting for a transport that is writable, oldest first. */
  writeBuffer: EnginePacket[];
  /** Called when what is in `writeBuffer` has been sent. */
  packetsFn: SentCallback[];
  /** The same, of what the transport has now: one entry for each flush. */
  sentCallbackFn: (SentCallback[] | null)[];
}

/** engine.io's socket with its private members. */
export function insideOf(connection: Socket): SocketInside {
  return connection as unknown as SocketInside;
}

/** A request as engine.io prepares it. */
export type PreparedRequest = GuardedRequest & { readonly headers: Record<string, string> };

/** What is used and extended of engine.io's server. */
declare class EngineServerInside extends BaseServer {
  /** The sessions by their ids. */
  protected clients: Record<string, Socket>;
  protected init(): void;
  protected cleanup(): void;
  /** Reads everything of a request that is used later, when uWebSockets.js has taken it back. */
  protected prepare(req: GuardedRequest, res: GuardedResponse): asserts req is PreparedRequest;
  protected createTransport(...args: Parameters<BaseServer['createTransport']>): unknown;
  attach(app: unknown, options: AttachOptions): void;
}

/** engine.io's server on uWebSockets.js, to be extended where it is private too. */
export const EngineServerBase = uServer as unknown as typeof EngineServerInside;

/** The private members by who has them. */
export const INTERNALS = {
  uServer: ['clients', 'prepare'],
  Socket: ['upgrading', 'upgraded', 'writeBuffer', 'packetsFn', 'sentCallbackFn'],
} as const;

/** What is missing of {@link INTERNALS}. */
export function missingInternals(parts: Readonly<Record<keyof typeof INTERNALS, object>>): string[] {
  return Object.entries(INTERNALS).flatMap(([part, names]) =>
    names.filter((name) => !(name in parts[part as keyof typeof INTERNALS])).map((name) => `${part}.${name}`),
  );
}

/** Sends nothing. */
class NoTransport extends Transport {
  override get name(): 'polling' {
    return 'polling';
  }

  override send(): void {}

  override doClose(done?: () => void): void {
    done?.();
  }
}

/** A socket that was never open to anybody: members that a constructor makes are seen in no prototype. */
export function sampleSocket(server: BaseServer): Socket {
  const req = { _query: { EIO: '4' }, headers: {}, connection: {} } as never;
  const socket = new Socket('', server, new NoTransport(req), req, 4);
  // It has a timer for its first ping.
  socket.close(true);
  return socket;
}

/**
 * Checks that engine.io has the private members that are used.
 *
 * @throws {@link StartError} which are missing in which version
 */
export function checkInternals(server: BaseServer): void {
  const missing = missingInternals({ uServer: server, Socket: sampleSocket(server) });
  if (missing.length === 0) return;
  const path = join(dirname(createRequire(import.meta.url).resolve('engine.io')), '../package.json');
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  throw new StartError(
    `engine.io ${version} does not have what the gateway uses of it: ${missing.join(', ')}. Install the version in ` +
      'package-lock.json: run "npm ci".',
    EXIT.failed,
  );
}
