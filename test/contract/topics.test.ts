import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_SYMBOL_LENGTH, MAX_TIMEFRAME_LENGTH, signalSchema } from '../../src/contract/events.js';
import { EXAMPLES } from '../../src/contract/examples.js';
import {
  CHECKPOINT_GROUPS,
  EVERYBODY,
  roomOfCheckpoints,
  roomsOfClient,
  roomsOfEntry,
} from '../../src/contract/rooms.js';
import { ALL_SIGNALS, MAX_TOPICS, parseTopics, topicsOfSignal } from '../../src/contract/topics.js';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'BTC', '**', 'feed:'];
const TIMEFRAMES = ['1m', '5m', '1M'];
const SIGNALS = SYMBOLS.flatMap((symbol) => TIMEFRAMES.map((timeframe) => ({ symbol, timeframe })));

const topic = fc.oneof(
  { weight: 1, arbitrary: fc.constant(ALL_SIGNALS) },
  { weight: 4, arbitrary: fc.constantFrom(...SYMBOLS) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...SYMBOLS), fc.constantFrom(...TIMEFRAMES))
      .map(([symbol, timeframe]) => `${symbol}@${timeframe}`),
  },
);

/** Topics as a client may ask for them: in any order, the same one more than once. */
const asked = fc.array(topic, { maxLength: 12 });

/** What a set of topics matches, read off the contract's words. */
function matches(topics: Iterable<string>, { symbol, timeframe }: { symbol: string; timeframe: string }): boolean {
  return [...topics].some((one) => one === '*' || one === symbol || one === `${symbol}@${timeframe}`);
}

function parsed(value: unknown): ReadonlySet<string> {
  const result = parseTopics(value);
  if (!result.ok) throw new Error(result.message);
  return result.topics;
}

test('the minimal set matches exactly the signals that were asked for', () => {
  fc.assert(
    fc.property(asked, (topics) => {
      const minimal = parsed(topics);
      for (const signal of SIGNALS) expect(matches(minimal, signal)).toBe(matches(topics, signal));
    }),
    { numRuns: 1000 },
  );
});

test('no topic of the minimal set can be left out, and none was not asked for', () => {
  fc.assert(
    fc.property(asked, (topics) => {
      const minimal = parsed(topics);
      for (const one of minimal) {
        expect(topics).toContain(one);
        const others = [...minimal].filter((other) => other !== one);
        expect(SIGNALS.some((signal) => matches(minimal, signal) && !matches(others, signal))).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

test('the order in which topics are asked for makes no difference', () => {
  fc.assert(
    fc.property(asked, (topics) => {
      expect(parsed(topics.toReversed())).toEqual(parsed(topics));
    }),
  );
});

test('making a minimal set minimal again changes nothing', () => {
  fc.assert(
    fc.property(asked, (topics) => {
      const minimal = parsed(topics);
      expect(parsed([...minimal])).toEqual(minimal);
    }),
  );
});

test('a signal goes to one room of a client that wants it, and to none of a client that does not', () => {
  fc.assert(
    fc.property(asked, (topics) => {
      const rooms = roomsOfClient(parsed(topics), 'a-session');
      for (const signal of SIGNALS) {
        const hit = roomsOfEntry({ event: 'new_signal', ...signal }).filter((room) => rooms.includes(room));
        expect(hit).toHaveLength(matches(topics, signal) ? 1 : 0);
      }
    }),
    { numRuns: 1000 },
  );
});

test('a status goes to one room of every client', () => {
  fc.assert(
    fc.property(asked, (topics) => {
      const rooms = roomsOfClient(parsed(topics), 'a-session');
      expect(roomsOfEntry({ event: 'status_update' }).filter((room) => rooms.includes(room))).toEqual([EVERYBODY]);
    }),
  );
});

test('clients that do not get every signal are in one of the groups that are told where the journal is; the others are not', () => {
  const groups = Array.from({ length: CHECKPOINT_GROUPS }, (_, group) => roomOfCheckpoints(group));
  const groupsOf = (topics: string[], id: string): string[] =>
    roomsOfClient(parsed(topics), id).filter((room) => groups.includes(room));
  const ids = Array.from({ length: 10_000 }, () => randomBytes(15).toString('base64url'));
  const sizes = new Map(groups.map((group) => [group, 0]));
  for (const id of ids) {
    const [group = '', ...others] = groupsOf(['BTC/USDT'], id);
    expect(others).toEqual([]);
    expect(groupsOf([], id)).toEqual([group]);
    expect(groupsOf(['*'], id)).toEqual([]);
    sizes.set(group, (sizes.get(group) ?? 0) + 1);
  }
  // 200 each, give or take: twice as many has not the chance of one in a million.
  expect(Math.max(...sizes.values())).toBeLessThan(400);
});

test('no topic has the room of everybody or of those who are told where the journal is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[@*a0-9]{0,5}$/)), (text) => {
      const result = parseTopics([text]);
      if (!result.ok) return;
      const rooms = roomsOfClient(result.topics, 'a-session');
      expect(new Set(rooms).size).toBe(rooms.length);
      expect(rooms.every((room) => room.startsWith('feed:'))).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

test('a signal has three topics, widest first', () => {
  expect(topicsOfSignal('BTC/USDT', '1m')).toEqual(['*', 'BTC/USDT', 'BTC/USDT@1m']);
});

test('who asks for nothing in particular gets everything, who asks for an empty list gets nothing', () => {
  expect(parsed(undefined)).toEqual(new Set(['*']));
  expect(parsed([])).toEqual(new Set());
});

test.each([
  ['a string', 'BTC/USDT'],
  ['null', null],
  ['an object', { 0: 'BTC/USDT', length: 1 }],
  ['a number in the list', [1]],
  ['null in the list', [null]],
  ['a list in the list', [['BTC/USDT']]],
  ['an empty topic', ['']],
  ['no symbol', ['@1m']],
  ['no timeframe', ['BTC/USDT@']],
  ['two timeframes', ['BTC/USDT@1m@5m']],
  ['every symbol of a timeframe', ['*@1m']],
  ['every timeframe of a symbol', ['BTC/USDT@*']],
  ['a control character', ['BTC\u0000']],
  ['a line break', ['BTC/USDT@1m\n']],
  ['a symbol that is too long', ['x'.repeat(MAX_SYMBOL_LENGTH + 1)]],
  ['a timeframe that is too long', [`BTC/USDT@${'x'.repeat(MAX_TIMEFRAME_LENGTH + 1)}`]],
  ['an unpaired surrogate', ['BTC\ud83d']],
  ['the other half of it', ['\udcc8']],
  ['an unpaired surrogate in the timeframe', ['BTC/USDT@\ud83d']],
  ['a surrogate pair the wrong way round', ['\udcc8\ud83d']],
  ['one bad topic among good ones', ['BTC/USDT', '*', '']],
])('%s is refused as invalid_topics', (_, value) => {
  expect(parseTopics(value)).toMatchObject({ ok: false, code: 'invalid_topics' });
});

test('the refusal names the place of the bad topic', () => {
  expect(parseTopics(['*', 'BTC/USDT@'])).toMatchObject({ message: expect.stringContaining('topic 1 ') as unknown });
});

test('the refusal of a topic with an unpaired surrogate says what is wrong with it', () => {
  expect(parseTopics(['*', 'BTC\ud83d'])).toMatchObject({
    message: 'topic 1 has an unpaired surrogate; send whole characters',
  });
});

test('any value gets an answer, and what is taken holds nothing but topics that were asked for', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.array(fc.anything())), (value) => {
      const result = parseTopics(value);
      if (!result.ok || value === undefined) return;
      expect(Array.isArray(value)).toBe(true);
      for (const one of result.topics) expect(value as unknown[]).toContain(one);
    }),
  );
});

test('as many topics as allowed are taken, one more is refused as too_many_topics', () => {
  const topics = Array.from({ length: MAX_TOPICS }, (_, i) => `S${i}`);
  expect(parsed(topics).size).toBe(MAX_TOPICS);
  expect(parseTopics([...topics, 'one more'])).toMatchObject({ ok: false, code: 'too_many_topics' });
});

test('the longest symbol with the longest timeframe is a topic', () => {
  const longest = `${'s'.repeat(MAX_SYMBOL_LENGTH)}@${'t'.repeat(MAX_TIMEFRAME_LENGTH)}`;
  expect(parsed([longest])).toEqual(new Set([longest]));
});

test('the longest symbol and timeframe that can be published can be subscribed to, whatever characters they have', () => {
  for (const character of ['x', 'é', '😀']) {
    const symbol = character.repeat(MAX_SYMBOL_LENGTH);
    const timeframe = character.repeat(MAX_TIMEFRAME_LENGTH);
    for (const more of ['', character]) {
      const isGood = more === '';
      const published = { ...EXAMPLES.signal, symbol: symbol + more, timeframe: timeframe + more };
      expect(signalSchema.safeParse(published).success).toBe(isGood);
      expect(parseTopics([symbol + more]).ok).toBe(isGood);
      expect(parseTopics([`${symbol}@${timeframe}${more}`]).ok).toBe(isGood);
    }
  }
});
