import { randomBytes } from 'node:crypto';

/** Asking for a few bytes costs as much as for many: some 10 µs, on the way of every signal and of every connect. */
const POOL_BYTES = 32 * 1024;

let pool = Buffer.alloc(0);
let used = 0;

/** A name that nobody else makes: random bytes in base64url, so 4 characters for 3 bytes. */
export function randomName(bytes: number): string {
  if (used + bytes > pool.length) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  used += bytes;
  return pool.toString('base64url', used - bytes, used);
}
