import type { Redis } from 'ioredis';

/** An entry of the journal as it stands in Redis. */
export interface StoredEntry {
  readonly offset: string;
  readonly epoch: string;
  readonly seq: number;
  readonly event: string;
  readonly json: string;
}

/** Reads the whole journal of a gateway with the default prefix. */
export async function readJournal(redis: Redis, key = '{gateway}:journal'): Promise<StoredEntry[]> {
  const entries: StoredEntry[] = [];
  let from = '-';
  for (;;) {
    const page = await redis.xrange(key, from, '+', 'COUNT', 2000);
    for (const [id, fields] of page) {
      const record = Object.fromEntries(
        Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i] ?? '', fields[2 * i + 1] ?? '']),
      );
      const seq = Number(id.split('-')[0]);
      const { epoch = '', event = '', json = '' } = record;
      entries.push({ offset: `${epoch}:${seq}`, epoch, seq, event, json });
    }
    const last = page.at(-1);
    if (last === undefined || page.length < 2000) return entries;
    from = `(${last[0]}`;
  }
}
