import { ENGINE_REFUSALS, type EngineRefusalName } from '../../errors.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import { statusText } from '../../http/status-text.js';

const NAMES = Object.keys(ENGINE_REFUSALS) as EngineRefusalName[];

/**
 * Whether a request for a WebSocket says that it is long-polling. engine.io believes it, and then takes the WebSocket for
 * a polling request, which ends the process.
 */
export function asksForPolling(req: GuardedRequest): boolean {
  return new URLSearchParams(req.getQuery()).getAll('transport').at(-1) === 'polling';
}

/** Answers as Engine.IO does, with its own number in the body. Metric and log have the name. */
export function answerRefusal(res: GuardedResponse, name: EngineRefusalName): void {
  const { status, number, message } = ENGINE_REFUSALS[name];
  res.code = name;
  res.cork(() => {
    res.writeStatus(statusText(status)).writeHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ code: number, message }));
  });
}

/**
 * Listener of engine.io's `connection_error`: answers what engine.io is about to refuse. What it writes afterwards comes
 * to nothing, since a {@link GuardedResponse} has one answer.
 */
export function answerConnectionError({ req, code }: { req: { res?: GuardedResponse }; code: number }): void {
  const name = NAMES.find((one) => ENGINE_REFUSALS[one].number === code);
  if (req.res !== undefined && name !== undefined) answerRefusal(req.res, name);
}
