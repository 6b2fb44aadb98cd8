import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PacketClient, WAYS, openSocket } from '../support/packet-client.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';

// The Socket.IO protocol v5, requirement by requirement, as its own suite of tests has them. Where that one lets a server echo,
// a `subscribe` is acknowledged here; where it joins a namespace of its own, that is refused, since there is one. What the
// protocol says of the stock client is in compatibility.test.ts.
// Protocol: https://socket.io/docs/v4/socket-io-protocol/

const started = new Cleanup();
const cleanup = new Cleanup();
let pod: Pod;
beforeAll(async () => {
  pod = await Pod.start(started);
});
afterEach(async () => {
  await cleanup.run();
  if ((await pod.metric('gateway_unhandled_faults_total')) > 0) throw new Error(pod.output());
});
afterAll(() => started.run());

const BYTES = Uint8Array.from([1, 2, 3]);
const PLACEHOLDER = '{"_placeholder":true,"num":0}';
const INVALID_TOPICS = String.raw`\[\{"ok":false,"error":\{"code":"invalid_topics","message":".+"\}\}\]$`;

/** Sends a `subscribe` and waits for its acknowledgement. @returns whether it was granted */
async function isServed(client: PacketClient): Promise<boolean> {
  await client.send('21["subscribe",["A"]]');
  return (await client.next('31')) === '31[{"ok":true,"topics":["A"]}]';
}

describe.each(WAYS)('over %s', (way) => {
  const open = (): Promise<PacketClient> => PacketClient.open(cleanup, pod, way);

  async function connected(): Promise<PacketClient> {
    const client = await open();
    await client.connect();
    return client;
  }

  describe('connect', () => {
    test.each(['0', '0/,', '0{"token":"123"}', '0{"a":[{}]}'])(
      'a client that joins the main namespace by %j gets an id that nobody else has, and its welcome',
      async (packet) => {
        const ids = await Promise.all(
          ['first', 'second'].map(async () => {
            const client = await open();
            await client.send(packet);
            const answer = JSON.parse((await client.next('0')).slice(1)) as object;
            // With a token for recovery, as the gateway remembers its clients.
            expect(answer).toMatchObject({ sid: expect.stringMatching(/^[\w-]{20}$/) });
            expect(await client.next()).toMatch(/^2\["welcome",\{"message":/);
            return (answer as { sid: string }).sid;
          }),
        );
        expect(new Set(ids).size).toBe(2);
      },
    );

    test.each(['0/custom,', '0/custom,{"token":"abc"}', '0/custom'])(
      'a client that joins another namespace by %j is refused, and may join the main one',
      async (packet) => {
        const client = await open();
        await client.send(packet);
        expect(await client.next()).toBe('4/custom,{"message":"Invalid namespace"}');
        await client.connect();
        expect(await isServed(client)).toBe(true);
      },
    );

    test.each(['abc', '0abc', '0[]', '0""', '2["subscribe",["A"]]', '1'])(
      'a client that begins with %j is closed',
      async (packet) => {
        const client = await open();
        await client.send(packet);
        expect(await client.closed()).toBe(true);
      },
    );

    test('a client that joins no namespace is closed after CONNECT_TIMEOUT, and one that has joined is not', async () => {
      const hasty = await Pod.start(cleanup, { CONNECT_TIMEOUT: '400' });
      const joined = await PacketClient.open(cleanup, hasty, way);
      await joined.connect();
      const idle = await PacketClient.open(cleanup, hasty, way);
      await idle.closed();
      expect(await isServed(joined)).toBe(true);
      expect(await hasty.metric('gateway_sessions')).toBe(1);
    });
  });

  describe('disconnect', () => {
    test('a client that leaves the main namespace keeps its connection, and may join again', async () => {
      const client = await open();
      const sid = await client.connect();
      await client.send('1');
      expect(await reasonOf(sid)).toBe('client namespace disconnect');
      expect(await client.connect()).not.toBe(sid);
      expect(await isServed(client)).toBe(true);
    });

    test('a client that was refused a namespace stays in the main one', async () => {
      const client = await connected();
      await client.send('0/custom,');
      expect(await client.next('4')).toBe('4/custom,{"message":"Invalid namespace"}');
      expect(await isServed(client)).toBe(true);
    });
  });

  describe('message', () => {
    test('an event with an id is acknowledged under the same id, also a long one', async () => {
      const client = await connected();
      for (const id of [0, 456, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
        await client.send(`2${id}["subscribe",["A","B"]]`);
        expect(await client.next('3')).toBe(`3${id}[{"ok":true,"topics":["A","B"]}]`);
      }
    });

    test('an event without an id is worked on and not acknowledged', async () => {
      const client = await connected();
      await client.send('2["subscribe",["A"]]', '27["subscribe",["B"]]');
      expect(await client.next('3')).toBe('37[{"ok":true,"topics":["B"]}]');
    });

    test('an event with two attachments and an id is acknowledged', async () => {
      const client = await connected();
      await client.send(`52-789["subscribe",[${PLACEHOLDER},${PLACEHOLDER.replace('0', '1')}]]`, BYTES, BYTES);
      expect(await client.next('3')).toMatch(new RegExp(`^3789${INVALID_TOPICS}`));
      expect(await isServed(client)).toBe(true);
    });

    test('an event with an attachment and no id is worked on', async () => {
      const client = await connected();
      await client.send(`51-["subscribe",${PLACEHOLDER}]`, BYTES);
      expect(await isServed(client)).toBe(true);
    });
  });

  test.each([
    ['a message that is no Socket.IO packet', 'x'],
    ['a message of letters', 'abc'],
    ['a type that is none', '9'],
    ['an event that is no JSON', '2{'],
    ['an event that is an object', '2{}'],
    ['an event without a name', '2[]'],
    ['an event whose name is an object', '2[{}]'],
    ['a reserved event', '2["disconnect"]'],
    ['an id that is no number', '2abc["subscribe",["A"]]'],
    ['an id below 0', '2-1["subscribe",["A"]]'],
    ['an acknowledgement that is an object', '31{}'],
    ['a disconnect with data', '1{}'],
    ['attachments that are too many', '51000-["a"]'],
    ['attachments that are not counted', '5-["a"]'],
    ['text in place of an attachment', [`51-["a",${PLACEHOLDER}]`, '2["b"]']],
    ['an attachment that no placeholder names', ['51-["a",{"_placeholder":true,"num":7}]', BYTES]],
    ['bytes that nothing announced', BYTES],
    ['an event for a namespace that was not joined', '2/other,["a"]'],
    ['a disconnect from a namespace that was not joined', '1/other,'],
    ['a refusal from the client', '4{"message":"no"}'],
  ])('%s closes the connection', async (_name, packets) => {
    const before = await pod.metric('gateway_sessions');
    const client = await open();
    const sid = await client.connect();
    await client.send(...(Array.isArray(packets) ? packets : [packets]));
    await client.closed();
    // Over long-polling Socket.IO has a name of its own for the same.
    expect(await reasonOf(sid)).toMatch(way === 'long-polling' ? /^forced (server )?close$/ : /^forced close$/);
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) <= before);
  });
});

test('a client that has left keeps a connection that is still asked for its heartbeat', async () => {
  const beating = await Pod.start(cleanup, { PING_INTERVAL: '300', PING_TIMEOUT: '5000' });
  const client = await openSocket(cleanup, beating, 'a WebSocket');
  client.send('40');
  await until('the welcome', () => client.messages.some((message) => String(message).includes('"welcome"')));
  client.messages.length = 0;
  client.send('41');
  expect(await client.next()).toBe('2');
});

/** Why the pod says that the client with this socket went. */
async function reasonOf(sid: string): Promise<unknown> {
  const line = await until('the reason in the log', () =>
    pod.logs().find((one) => one['msg'] === 'client disconnected' && one['sid'] === sid),
  );
  return line['reason'];
}
