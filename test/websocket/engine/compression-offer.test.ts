import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseOffer } from '../../../src/websocket/engine/compression-offer.js';

const SHARED = 1;
const DEDICATED_4KB = (9 << 4) | 2;
const DEFLATE = 'permessage-deflate';

/** Offers, and whether a shared and a dedicated compressor take them. */
const OFFERS: readonly (readonly [string, boolean, boolean])[] = [
  ['permessage-deflate', true, true],
  [' permessage-deflate\t', true, true],
  ['permessage-deflate; client_max_window_bits', true, true],
  ['permessage-deflate;client_max_window_bits=8', true, true],
  ['permessage-deflate; client_max_window_bits=15', true, true],
  ['permessage-deflate; client_max_window_bits="10"', true, true],
  ['permessage-deflate; client_no_context_takeover', true, true],
  ['permessage-deflate; server_no_context_takeover', true, false],
  ['permessage-deflate; server_no_context_takeover; client_no_context_takeover', true, false],
  ['permessage-deflate; server_max_window_bits=8', false, false],
  ['permessage-deflate; server_max_window_bits=9', false, true],
  ['permessage-deflate ; server_max_window_bits = 12 ; client_max_window_bits = 12', false, true],
  ['permessage-deflate; server_max_window_bits=15', false, true],
  ['permessage-deflate; server_max_window_bits="1\\0"', false, true],
  // As fallbacks: the first that can be granted.
  ['permessage-deflate; server_max_window_bits=8, permessage-deflate', true, true],
  [
    'permessage-deflate; server_no_context_takeover; server_max_window_bits=8, permessage-deflate; unknown',
    false,
    false,
  ],
  ['permessage-deflate; server_max_window_bits=10, permessage-deflate; client_max_window_bits', true, true],
  ['permessage-deflate; server_no_context_takeover, permessage-deflate; server_max_window_bits=10', true, true],
  ['x-webkit-deflate-frame, permessage-deflate', true, true],
  ['foo; bar="a, b; c", permessage-deflate', true, true],
  [', permessage-deflate ,', true, true],
  // What RFC 7692, 7.1 has a server decline.
  ['permessage-deflate; server_max_window_bits', false, false],
  ['permessage-deflate; server_max_window_bits=7', false, false],
  ['permessage-deflate; server_max_window_bits=16', false, false],
  ['permessage-deflate; server_max_window_bits=010', false, false],
  ['permessage-deflate; server_max_window_bits=+10', false, false],
  ['permessage-deflate; server_max_window_bits=1e1', false, false],
  ['permessage-deflate; server_max_window_bits=', false, false],
  ['permessage-deflate; server_max_window_bits=""', false, false],
  ['permessage-deflate; client_max_window_bits=7', false, false],
  ['permessage-deflate; client_max_window_bits=x', false, false],
  ['permessage-deflate; client_no_context_takeover=1', false, false],
  ['permessage-deflate; server_no_context_takeover=1', false, false],
  ['permessage-deflate; unknown', false, false],
  ['permessage-deflate; unknown=1', false, false],
  ['permessage-deflate; SERVER_MAX_WINDOW_BITS=10', false, false],
  ['permessage-deflate; client_max_window_bits; client_max_window_bits', false, false],
  ['permessage-deflate; server_max_window_bits=10; server_max_window_bits=9', false, false],
  ['permessage-deflate;', false, false],
  ['permessage-deflate; ; client_max_window_bits', false, false],
  ['permessage-deflate client_max_window_bits', false, false],
  // What only looks like it.
  ['', false, false],
  [',', false, false],
  ['Permessage-Deflate', false, false],
  ['x-webkit-deflate-frame', false, false],
  ['permessage-deflated', false, false],
  ['"permessage-deflate"', false, false],
  ['etalfed-egassemrep', false, false],
  ['foo; permessage-deflate', false, false],
  ['foo="permessage-deflate", bar', false, false],
  ['foo; bar="a, permessage-deflate, b"', false, false],
  ['foo; bar="a\\", permessage-deflate', false, false],
];

describe('compression is taken up only where the answer that is given keeps to the offer', () => {
  test.each(OFFERS)('%j', (offers, shared, dedicated) => {
    expect(chooseOffer(offers, SHARED)).toBe(shared ? DEFLATE : '');
    expect(chooseOffer(offers, DEDICATED_4KB)).toBe(dedicated ? DEFLATE : '');
    expect(chooseOffer(offers, 0)).toBe('');
  });
});

test('whatever a client offers, it is answered at once', () => {
  const piece = fc.constantFrom(DEFLATE, ';', ',', '=', '"', '\\', ' ', 'server_max_window_bits', '10', 'x');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.constantFrom(SHARED, DEDICATED_4KB), (pieces, compression) => {
      expect(['', DEFLATE]).toContain(chooseOffer(pieces.join(''), compression));
    }),
    { numRuns: 500 },
  );
  for (const flood of [';', ',', '"', '\\', ' ', '=', 'permessage-deflate;', 'a="\\']) {
    expect(chooseOffer(flood.repeat(20_000) + '!', SHARED)).toBe('');
  }
});
