import { expect, test } from 'vitest';
import { publishGuard } from '../../src/admin/access.js';
import type { RouteRequest } from '../../src/http/router.js';

type Asked = Pick<RouteRequest, 'header' | 'remoteAddress'>;

/** Whether the guard lets a caller of an address through. */
function mayPublish(keys: readonly string[], address: readonly number[], authorization = ''): boolean {
  const asked: Asked = {
    header: (name) => (name === 'authorization' ? authorization : ''),
    remoteAddress: Uint8Array.from(address),
  };
  try {
    publishGuard(keys)(asked as RouteRequest);
    return true;
  } catch {
    return false;
  }
}

const ZEROS = Array.from({ length: 10 }, () => 0);

test('without a key only addresses of this machine may publish', () => {
  for (const here of [
    [127, 0, 0, 1],
    [127, 9, 9, 9],
    [...ZEROS, 0, 0, 0, 0, 0, 1],
    [...ZEROS, 255, 255, 127, 0, 0, 1],
  ]) {
    expect([here, mayPublish([], here)]).toEqual([here, true]);
  }
  for (const elsewhere of [
    [10, 0, 0, 1],
    [192, 168, 127, 1],
    [128, 0, 0, 1],
    [...ZEROS, 255, 255, 10, 0, 0, 1],
    [...ZEROS, 0, 0, 127, 0, 0, 1],
    [0xfe, 0x80, ...ZEROS, 0, 0, 0, 1],
    [],
  ]) {
    expect([elsewhere, mayPublish([], elsewhere)]).toEqual([elsewhere, false]);
  }
});

test('with a key the address does not matter, from this machine either', () => {
  expect(mayPublish(['the-key'], [127, 0, 0, 1])).toBe(false);
  expect(mayPublish(['the-key'], [10, 0, 0, 1], 'Bearer the-key')).toBe(true);
});
