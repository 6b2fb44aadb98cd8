import { NOTHING_TAKEN, Rate } from './rate-limit.js';

/** Stands for the arguments of a message that was not read. Nobody outside knows it. */
export const UNREAD = `unread-${crypto.randomUUID()}`;

/** A shorter message is read without a charge: whatever is in it, that takes some 20 microseconds. */
const CHARGED_FROM_BYTES = 512;

/**
 * Bytes of long messages that are read of one client in a second, over a while: 16 KB of topics take about a millisecond to
 * decode and to check, so that a handful of clients within all other limits could fill a core.
 */
const BYTES_PER_SECOND = 32 * 1024;
const BURST_BYTES = 128 * 1024;

/** What is kept of one client: when what was read of it is paid for, as in {@link Rate}. */
export interface Reader {
  readingPaidAtMs: number;
}

/** An account of which nothing has been taken. */
export function newReader(): Reader {
  return { readingPaidAtMs: NOTHING_TAKEN };
}

const RATE = new Rate(BYTES_PER_SECOND, BURST_BYTES);

/** Whether a message of so many bytes is charged. */
export function isCharged(bytes: number): boolean {
  return bytes >= CHARGED_FROM_BYTES;
}

/**
 * Charges a message before anything of it is read. Only whether there is anything left on the account decides: a single
 * message may be as long as it likes, and those that follow then wait for longer.
 *
 * @returns whether it is to be read
 */
export function mayRead(reader: Reader, bytes: number, nowMs: number): boolean {
  if (!isCharged(bytes)) return true;
  if (RATE.waitMs(reader.readingPaidAtMs, nowMs) > 0) return false;
  reader.readingPaidAtMs = RATE.charge(reader.readingPaidAtMs, bytes, nowMs);
  return true;
}
