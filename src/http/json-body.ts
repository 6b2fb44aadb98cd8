import { isUtf8 } from 'node:buffer';
import { Problem } from '../errors.js';
import type { RouteRequest } from './router.js';

/**
 * Reads a body of JSON.
 *
 * @returns its text as sent, and what it says
 * @throws {@link Problem} when it is of another type, not UTF-8 or not JSON
 */
export function readJson(request: RouteRequest): { text: string; value: unknown } {
  checkMediaType(request);
  if (!isUtf8(request.body)) throw new Problem('invalid_encoding', 'The body is not valid UTF-8.');
  const text = request.body.toString('utf8');
  try {
    return { text, value: JSON.parse(text) as unknown };
  } catch (error) {
    throw new Problem('invalid_json', `The body is not JSON: ${(error as SyntaxError).message}.`);
  }
}

/** @throws {@link Problem} when a request says that its body is of another type than JSON */
export function checkMediaType(request: RouteRequest): void {
  const mediaType = (request.header('content-type').split(';')[0] ?? '').trim().toLowerCase();
  if (mediaType !== 'application/json') {
    const got = mediaType === '' ? 'no content-type' : `"${mediaType}"`;
    throw new Problem('unsupported_media_type', `Send the body with content-type application/json; got ${got}.`);
  }
}
