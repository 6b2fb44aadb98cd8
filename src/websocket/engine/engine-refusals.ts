import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';

// What is refused as engine.io refuses it: with its own numbers in the answer.

/**
 * Whether a request for a WebSocket says that it is long-polling. engine.io believes it, and then takes the WebSocket for
 * a polling request, which ends the process.
 */
export function asksForPolling(req: GuardedRequest): boolean {
  return new URLSearchParams(req.getQuery()).getAll('transport').at(-1) === 'polling';
}

/** As engine.io answers what it does not understand. */
export function answerBadRequest(res: GuardedResponse): void {
  res.code = 'bad_request';
  res.cork(() => {
    res.writeStatus('400 Bad Request').writeHeader('Content-Type', 'application/json');
    res.end('{"code":3,"message":"Bad request"}');
  });
}

/** The codes under which refusals of engine.io's are counted, by its own numbers, which are in the answer. */
const ENGINE_REFUSALS = [
  'transport_unknown',
  'session_unknown',
  'bad_handshake_method',
  'bad_request',
  'forbidden',
  'protocol_unsupported',
] as const;

/** Names the code under which the response is to be counted, before engine.io answers. */
export function nameRefusal({ req, code }: { req: { res?: GuardedResponse }; code: number }): void {
  if (req.res !== undefined) req.res.code = ENGINE_REFUSALS[code];
}
