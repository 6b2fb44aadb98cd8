import type { Pod } from './pod.js';

export interface JournalEntry {
  readonly offset: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Everything that a pod's journal has after a place, oldest first, as its history API gives it page by page. */
export async function journalOf(pod: Pod, begin: string): Promise<JournalEntry[]> {
  const all: JournalEntry[] = [];
  for (let after = begin; ;) {
    const answer = await fetch(`${pod.adminUrl}/v1/signals?limit=1000&after=${encodeURIComponent(after)}`);
    const { entries, next } = (await answer.json()) as { entries: JournalEntry[]; next: string };
    if (entries.length === 0) return all;
    for (const entry of entries) all.push(entry);
    after = next;
  }
}

/** The place of the newest entry, or before the first one. */
export async function headOf(pod: Pod): Promise<string> {
  const { next } = (await (await fetch(`${pod.adminUrl}/v1/signals`)).json()) as { next: string };
  return next;
}

/** The prices of {@link journalOf}. */
export async function pricesAfter(pod: Pod, begin: string): Promise<unknown[]> {
  return (await journalOf(pod, begin)).map(({ data }) => data['price']);
}
