import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { Random } from '../support/random.js';
import { RawClient } from '../support/raw-client.js';
import { rawRequest } from '../support/raw-http.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** What every header of version 2 begins with (the PROXY protocol, section 2.2). */
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const PROXY = 0x21;
const LOCAL = 0x20;
const IPV4 = 0x11;
const IPV6 = 0x21;
const UNIX = 0x31;

/** A header of version 2. */
function header(command: number, family: number, body: Buffer, length = body.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, length >> 8, length & 0xff]), body]);
}

/** A header that says that the client is at this address. */
function from(address: string): Buffer {
  return header(PROXY, IPV4, Buffer.from([...address.split('.').map(Number), 192, 0, 2, 1, 0xc3, 0x50, 0, 80]));
}

const POLL = RawClient.request('GET', 'transport=polling');

test.each([
  ['where no proxy is believed', {}],
  ['where proxies on this machine are believed', { TRUST_PROXY: 'loopback' }],
  ['where one hop is believed', { TRUST_PROXY: '1' }],
])('a PROXY header of a stranger gives no address of its own, %s', async (_name, env: Record<string, string>) => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '2', ...env });
  const statuses: number[] = [];
  for (const [i, request] of [POLL, RawClient.upgrade(), POLL, RawClient.upgrade(), POLL].entries()) {
    // The session of a WebSocket would end with its connection.
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(Buffer.concat([from(`203.0.113.${i}`), Buffer.from(request)]));
    statuses.push(Number((await client.take('\r\n')).split(' ')[1]));
  }
  expect(statuses).toEqual([200, 101, 429, 429, 429]);
});

test('a PROXY header between two requests changes nothing either', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '1' });
  const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
  await client.send(POLL);
  await client.take(' 200 ');
  await client.take('}');
  await client.send(Buffer.concat([from('203.0.113.9'), Buffer.from(POLL)]));
  expect(await client.take(' 429 ')).toContain('HTTP/1.1 429 ');
});

/** A header that a fuzzer would send, of either version. */
function fuzzed(random: Random): Buffer {
  const body = random.bytes(random.pick([0, 1, 4, 11, 12, 13, 19, 36, 37, 84, 216, 300]));
  const command = random.pick([PROXY, LOCAL, 0x22, 0x2f, 0x11, 0x00, 0xff, random.below(256)]);
  const family = random.pick([0, IPV4, 0x12, IPV6, 0x22, UNIX, 0x32, 0xff, random.below(256)]);
  const length = random.pick([body.length, body.length, body.length, 0, 1, 36, 65_535, random.below(65_536)]);
  const whole = header(command, family, body, length);
  switch (random.below(8)) {
    case 0:
      return whole.subarray(0, random.below(whole.length + 1));
    case 1:
      return Buffer.concat([whole, whole]);
    case 2: {
      const damaged = Buffer.from(whole);
      damaged[random.below(damaged.length)] = random.below(256);
      return damaged;
    }
    case 3:
      return Buffer.from(
        random.pick([
          'PROXY TCP4 203.0.113.9 192.0.2.1 50000 80\r\n',
          'PROXY TCP6 2001:db8::1 2001:db8::2 50000 80\r\n',
          'PROXY UNKNOWN\r\n',
          'PROXY\r\n',
          `PROXY TCP4 ${'9'.repeat(300)}\r\n`,
        ]),
      );
    default:
      return whole;
  }
}

const HEADERS = 600;

test('PROXY headers of every kind, whole, cut and damaged, end nothing and slow nobody down', async () => {
  const seed = Date.now() % 1_000_000;
  process.stdout.write(`seed of the PROXY headers: ${seed}\n`);
  const random = new Random(seed);
  const pod = await Pod.start(cleanup);
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  for (let i = 0; i < HEADERS; i++) {
    const port = i % 4 === 0 ? pod.adminPort : pod.port;
    const client = await RawClient.connect(port);
    const request = i % 2 === 0 ? POLL : RawClient.upgrade();
    const bytes = Buffer.concat([fuzzed(random), Buffer.from(request)]);
    const cut = random.below(bytes.length);
    // In one piece or two, and some connections are left to be closed by the gateway.
    if (i % 3 === 0) await client.send(bytes);
    else {
      await client.send(bytes.subarray(0, cut));
      await client.send(bytes.subarray(cut));
    }
    if (i % 10 === 0) cleanup.add(client, ({ socket }) => socket.destroy());
    else client.socket.destroy();
  }
  await pod.post('/v1/signals', signal(1));
  await until(`the signal (seed ${seed})`, () => honest.signals.length === 1, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
  expect((await rawRequest(pod.port, [POLL])).status).toBe(200);
  expect((await fetch(`${pod.adminUrl}/healthz`)).status).toBe(200);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
