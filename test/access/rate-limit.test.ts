import { expect, test } from 'vitest';
import { KeyedRate, NOTHING_TAKEN, Rate } from '../../src/access/rate-limit.js';
import { Random } from '../support/random.js';

test('after a quiet time all of a burst is let in and nothing beyond it, whatever the clock shows', () => {
  const random = new Random(1);
  for (let i = 0; i < 2000; i++) {
    const now = 1000 + random.next() * 1e7;
    const perSecond = 1 + random.below(200);
    const burst = 1 + random.below(perSecond);
    const rate = new Rate(perSecond, burst);
    let paidAt: number | undefined = NOTHING_TAKEN;
    let taken = 0;
    for (; paidAt !== undefined && taken <= burst; taken++) {
      paidAt = rate.take(paidAt, 1, now);
      if (paidAt === undefined) break;
    }
    expect([now, perSecond, burst, taken]).toEqual([now, perSecond, burst, burst]);
  }
});

test('a limit of one a second lets in whoever comes a second after the last', () => {
  const rate = new KeyedRate(new Rate(1, 1));
  for (let now = 1234.567_891; now < 1_000_000; now += 1000.1) {
    expect([now, rate.take('192.0.2.1', now)]).toEqual([now, true]);
    expect([now, rate.take('192.0.2.1', now + 500)]).toEqual([now, false]);
  }
});
