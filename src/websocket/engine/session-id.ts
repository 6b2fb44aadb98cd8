import { randomName } from '../../random-name.js';

const ID_BYTES = 15;

/** A session id that cannot be guessed: 120 random bits, in the alphabet and the length of engine.io's. */
export function sessionId(): string {
  return randomName(ID_BYTES);
}
