import { randomName } from '../random-name.js';

/** A random name for one life of a journal. */
export function newEpoch(): string {
  return randomName(6);
}
