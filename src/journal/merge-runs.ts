/** Ascending numbers, and how far they were read. */
export interface SortedRun {
  /** @returns `undefined` behind the last */
  readonly at: (index: number) => number | undefined;
  next: number;
}

/** A run and the lowest number of it that was not taken yet. */
interface Head {
  readonly run: SortedRun;
  number: number;
}

/**
 * The numbers of several runs in one order, each once: a merge by a binary heap.
 *
 * @param to - above all that count
 * @param most - numbers that are returned at most
 */
export function mergeRuns(runs: readonly SortedRun[], to: number, most: number): number[] {
  const heap: Head[] = [];
  for (const run of runs) {
    const head = { run, number: 0 };
    advance(head, to);
    if (head.number < to) heap.push(head);
  }
  for (let i = (heap.length >>> 1) - 1; i >= 0; i--) siftDown(heap, i);
  const merged: number[] = [];
  while (merged.length < most) {
    const [lowest] = heap;
    if (lowest === undefined) break;
    if (merged.at(-1) !== lowest.number) merged.push(lowest.number);
    advance(lowest, to);
    if (lowest.number >= to) {
      const last = heap.pop();
      if (last !== undefined && heap.length > 0) heap[0] = last;
    }
    siftDown(heap, 0);
  }
  return merged;
}

/** Takes the next number of a run; `to` where there is none below it. */
function advance(head: Head, to: number): void {
  head.number = Math.min(head.run.at(head.run.next++) ?? to, to);
}

function siftDown(heap: Head[], start: number): void {
  const moved = heap[start];
  if (moved === undefined) return;
  let i = start;
  for (;;) {
    const left = heap[2 * i + 1];
    const right = heap[2 * i + 2];
    if (left === undefined) break;
    const isRight = right !== undefined && right.number < left.number;
    const lower = isRight ? right : left;
    if (lower.number >= moved.number) break;
    heap[i] = lower;
    i = 2 * i + (isRight ? 2 : 1);
  }
  heap[i] = moved;
}
