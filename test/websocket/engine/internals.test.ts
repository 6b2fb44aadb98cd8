import { uServer } from 'engine.io';
import { describe, expect, test } from 'vitest';
import { StartError } from '../../../src/errors.js';
import { INTERNALS, checkInternals, missingInternals, sampleSocket } from '../../../src/websocket/engine/internals.js';

const PARTS: Readonly<Record<keyof typeof INTERNALS, () => object>> = {
  uServer: () => new uServer(),
  Socket: () => sampleSocket(new uServer()),
};

/** What the installed version has under each name. */
const SHAPES: Readonly<Record<string, unknown>> = {
  'uServer.clients': {},
  'uServer.prepare': expect.any(Function),
  'Socket.upgrading': false,
  'Socket.upgraded': false,
  'Socket.writeBuffer': [expect.objectContaining({ type: 'open', data: expect.any(String) })],
  'Socket.packetsFn': [],
  'Socket.sentCallbackFn': [],
};

const NAMES = Object.entries(INTERNALS).flatMap(([part, names]) =>
  names.map((name) => [part as keyof typeof INTERNALS, name] as const),
);

describe('private members of engine.io that the gateway uses', () => {
  test.each(NAMES)('%s has %s, of the kind that is used', (part, name) => {
    const found = (PARTS[part]() as Record<string, unknown>)[name];
    expect(found).toEqual(SHAPES[`${part}.${name}`]);
  });

  test('every one that is missing is named', () => {
    expect(missingInternals({ uServer: new uServer(), Socket: {} })).toEqual(
      INTERNALS.Socket.map((name) => `Socket.${name}`),
    );
  });

  test('a version without one of them does not start, and says which version lacks what', () => {
    class Later extends uServer {}
    const server = new Later();
    expect(() => checkInternals(server)).not.toThrow();
    delete (server as unknown as { clients?: object }).clients;
    expect(() => checkInternals(server)).toThrow(StartError);
    expect(() => checkInternals(server)).toThrow(/^engine\.io \d+\.\d+\.\d+ does not have .*: uServer\.clients\./);
  });
});
