import { expect } from 'vitest';
import type { Pod } from './pod.js';

/** Deletes an entry through a pod, as an operator does with curl. */
export async function deleteEntry(
  pod: Pod,
  offset: string | undefined,
  reason = 'a poisonous message',
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${pod.adminUrl}/v1/entries/${offset}?reason=${encodeURIComponent(reason)}`, {
    method: 'DELETE',
    headers,
  });
}

/** Deletes an entry that is there. */
export async function deleted(pod: Pod, offset: string | undefined): Promise<void> {
  const answer = await deleteEntry(pod, offset);
  expect([answer.status, await answer.json()]).toEqual([200, { offset, deleted: true, already: false }]);
}

/** What a `gap` says of a deleted entry. */
export function deletedGap(offset: string | undefined): object {
  const [epoch, seq] = (offset ?? '').split(':');
  return { reason: 'deleted', requested: `${epoch}:${Number(seq) - 1}`, resumed: offset };
}

/** An answer of the history. */
export interface HistoryPage {
  readonly entries: readonly { readonly offset: string; readonly event: string; readonly data: { price?: number } }[];
  readonly deleted?: readonly string[];
  readonly next: string;
}

/** Asks a pod for what was published. */
export async function historyOf(pod: Pod, query = '?limit=1000'): Promise<HistoryPage> {
  const answer = await fetch(`${pod.adminUrl}/v1/signals${query}`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as HistoryPage;
}
