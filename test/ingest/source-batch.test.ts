import { describe, expect, test } from 'vitest';
import { inspectSource } from '../../src/ingest/source-batch.js';
import type { SourcePage } from '../../src/ingest/source-page.js';
import { formatSourcePlace, parseSourcePlace } from '../../src/ingest/source-place.js';

function page(more: Partial<SourcePage>): SourcePage {
  return { exists: true, added: 10, length: 10, lastId: '100-0', isGone: false, entries: [], ...more };
}

function entries(count: number): SourcePage['entries'] {
  return Array.from({ length: count }, (_, i) => ({ id: `${i}-0`, named: 1, bytes: 2, json: Buffer.from('{}') }));
}

describe('what a look at a source stream finds', () => {
  test('counts what was added and is neither read nor there', () => {
    expect(inspectSource(page({ added: 10 }), { id: '100-0', count: 7 })).toMatchObject({ lost: 3 });
    // Of ten, six are gone, of which four may be those that were read.
    expect(inspectSource(page({ length: 4, entries: entries(4) }), { id: '90-0', count: 4 })).toMatchObject({
      lost: 2,
    });
    expect(inspectSource(page({ length: 8, entries: entries(4) }), { id: '90-0', count: 6 })).toMatchObject({
      lost: 0,
    });
  });

  test('says "at least one" where Redis does not count, and the entry read last is gone while others are there', () => {
    const old = page({ added: undefined, isGone: true, entries: entries(3) });
    expect(inspectSource(old, { id: '50-0', count: undefined })).toMatchObject({ lost: 1, isAtLeast: true });
    expect(inspectSource({ ...old, isGone: false }, { id: '50-0', count: undefined })).toMatchObject({ lost: 0 });
  });

  test('knows no loss of a stream that is not there, or of which the count is not known', () => {
    expect(inspectSource(page({ exists: false, added: undefined }), { id: '50-0', count: 5 })).toMatchObject({
      lost: 0,
    });
    const unknown = inspectSource(page({}), { id: '100-0', count: undefined });
    expect(unknown).toMatchObject({ lost: 0, place: { count: 10 } });
  });
});

test.each(['', 'rubbish', '5', '5-0', '5-0 x', '5-0 5 5', '-1-0 3'])('%j is no place in a source stream', (text) => {
  expect(parseSourcePlace(text)).toBeUndefined();
});

test('a place in a source stream is read as it was written', () => {
  for (const place of [
    { id: '1795841980106-1', count: 12 },
    { id: '0-0', count: undefined },
  ])
    expect(parseSourcePlace(formatSourcePlace(place))).toEqual(place);
});
