import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ClientAddress } from '../../src/access/client-address.js';

const PROXY = '192.0.2.254';
const byHops = (hops: number) => new ClientAddress(hops);
const byNetworks = new ClientAddress(['192.0.2.0/24', '2001:db8:ffff::/48']);

/** What a proxy may write, and the address that the client is counted by. */
const WRITTEN: readonly (readonly [string, string])[] = [
  ['203.0.113.5', '203.0.113.5'],
  ['203.0.113.5:51234', '203.0.113.5'],
  ['203.0.113.5:0', '203.0.113.5'],
  ['"203.0.113.5"', '203.0.113.5'],
  ['"203.0.113.5:51234"', '203.0.113.5'],
  ['[203.0.113.5]:51234', '203.0.113.5'],
  ['\t 203.0.113.5:51234 \t', '203.0.113.5'],
  ['::ffff:203.0.113.5', '203.0.113.5'],
  ['::ffff:203.0.113.5:51234', '203.0.113.5'],
  ['[::ffff:203.0.113.5]:51234', '203.0.113.5'],
  ['[::FFFF:cb00:7105]', '203.0.113.5'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['[2001:db8::1]', '2001:db8:0:0::/64'],
  ['[2001:db8::1]:443', '2001:db8:0:0::/64'],
  ['"[2001:db8::1]:443"', '2001:db8:0:0::/64'],
  ['"[2001:DB8:0:0:1::1]:443"', '2001:db8:0:0::/64'],
  ['2001:db8::1:51234', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6:443', '2001:db8:1:2::/64'],
  [', 203.0.113.5:1', '203.0.113.5'],
  ['203.0.113.5:1,', '203.0.113.5'],
  [' , ,203.0.113.5:1 , ,', '203.0.113.5'],
];

test.each(WRITTEN)('a proxy that writes %j names %s, by hops and by networks', (written, counted) => {
  expect(byHops(1).of(PROXY, written)).toBe(counted);
  expect(byNetworks.of(PROXY, written)).toBe(counted);
});

test.each([
  'unknown',
  '_hidden',
  '"_gazonk"',
  '',
  ' ',
  ',,,',
  '203.0.113.5:abc',
  '203.0.113.5:',
  '203.0.113.5:123456',
  '203.0.113.5:1:2',
  '203.0.113.05',
  '203.0.113',
  '0x7f.0.0.1',
  '2130706433',
  '[2001:db8::1',
  '2001:db8::1]:443',
  '[2001:db8::1]443',
  '[]',
  '[]:443',
  '[[2001:db8::1]]:443',
  '"203.0.113.5',
  "'203.0.113.5'",
  'fe80::1%eth0',
  '[fe80::1%eth0]:443',
  '[fe80::1%25eth0]',
  'for=203.0.113.5',
  'client.example:443',
  '203.0.113.5 198.51.100.1',
  ':443',
  '\u0000',
  'é',
])('%j is no address and gives nobody a name of its own', (written) => {
  expect(byHops(1).of(PROXY, written)).toBe(PROXY);
  expect(byNetworks.of(PROXY, written)).toBe(PROXY);
});

test('ports and brackets of the proxies in between hide none of them', () => {
  const chain = '198.51.100.9:7, [2001:db8:7::1]:51234, "192.0.2.10:80", [2001:db8:ffff::3]:443, 192.0.2.11:8080';
  expect(byNetworks.of(PROXY, chain)).toBe('2001:db8:7:0::/64');
  expect(byHops(4).of(PROXY, chain)).toBe('2001:db8:7:0::/64');
  expect(byHops(2).of(PROXY, chain)).toBe('2001:db8:ffff:0::/64');
  // A proxy that does not say whom it heard ends the chain: what stands before is a stranger's word.
  expect(byNetworks.of(PROXY, '203.0.113.5:1, unknown, 192.0.2.11:8080')).toBe(PROXY);
});

test('members without end cost nobody time, and only the last ones count', () => {
  const flood = `${'203.0.113.9:1,'.repeat(100_000)}203.0.113.5:2, 192.0.2.11:3`;
  expect(byNetworks.of(PROXY, flood)).toBe('203.0.113.5');
  expect(byHops(99).of(PROXY, flood)).toBe('203.0.113.9');
});

test('nobody is believed without TRUST_PROXY, whatever is written', () => {
  for (const [written] of WRITTEN) expect(new ClientAddress(undefined).of(PROXY, written)).toBe(PROXY);
});

const port = fc.option(fc.nat(65_535), { nil: undefined });
const suffix = (value: number | undefined): string => (value === undefined ? '' : `:${value}`);
/** One address written in any of the ways. */
const dressed = fc.oneof(
  fc.tuple(fc.ipV4(), port).map(([address, at]) => ({ address, text: `${address}${suffix(at)}` })),
  fc.tuple(fc.ipV6(), port).map(([address, at]) => ({ address, text: `[${address}]${suffix(at)}` })),
);
const around = fc.constantFrom('', ' ', '\t', '  ');

test('an address is counted as itself with whatever port, quotes and white space it is written', () => {
  fc.assert(
    fc.property(dressed, fc.boolean(), around, around, ({ address, text }, quoted, before, after) => {
      const bare = byHops(1).of(PROXY, address);
      expect(bare).not.toBe(PROXY);
      expect(byHops(1).of(PROXY, `${before}${quoted ? `"${text}"` : text}${after}`)).toBe(bare);
    }),
  );
});

test('whatever stands in the header, a client is counted by an address or by its proxy', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.array(fc.constantFrom('203.0.113.5', '2001:db8::1', '[', ']', ':', '"', ',', '%', ' ', '9', '.'), {
      maxLength: 12,
    }),
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 5 }), (written, hops) => {
      const header = typeof written === 'string' ? written : written.join('');
      for (const addresses of [byHops(hops), byNetworks]) {
        expect(addresses.of(PROXY, header)).toMatch(/^(\d{1,3}(\.\d{1,3}){3}|[\da-f]{1,4}(:[\da-f]{1,4}){3}::\/64)$/);
      }
    }),
    { numRuns: 500 },
  );
});
