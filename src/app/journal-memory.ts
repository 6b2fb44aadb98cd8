import { getHeapStatistics } from 'node:v8';
import { availableMemory } from '../access/memory-pressure.js';

/** Shares of the memory of this process: for the only copy of the journal, and for the newest entries of one in Redis. */
const MEMORY_JOURNAL_SHARE = 1 / 4;
const RING_SHARE = 1 / 8;
const MAX_RING_BYTES = 64 * 1024 * 1024;

/** What this process may use for entries: they are on the heap, which may end before the memory does. */
function usableBytes(memoryLimitBytes: number | undefined): number {
  return Math.min(memoryLimitBytes ?? availableMemory(), getHeapStatistics().heap_size_limit);
}

/**
 * What a journal in memory may take.
 *
 * @param memoryLimitBytes - `MEMORY_LIMIT`; `undefined` stands for what the process may use
 */
export function memoryJournalBytes(memoryLimitBytes: number | undefined): number {
  return usableBytes(memoryLimitBytes) * MEMORY_JOURNAL_SHARE;
}

/** What the newest entries of a journal in Redis may take in memory. @param memoryLimitBytes - as above */
export function ringBytes(memoryLimitBytes: number | undefined): number {
  return Math.min(MAX_RING_BYTES, usableBytes(memoryLimitBytes) * RING_SHARE);
}
