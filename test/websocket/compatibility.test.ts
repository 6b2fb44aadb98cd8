import { fileURLToPath } from 'node:url';
import { type ManagerOptions, type Socket, type SocketOptions, io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';

// What Socket.IO's own tests ask of a server, asked of the gateway, with the stock client on every transport.

const POD = fileURLToPath(new URL('../support/scenario-pod.mjs', import.meta.url));

const podCleanup = new Cleanup();
const cleanup = new Cleanup();
let pod: Pod;
beforeAll(async () => {
  pod = await Pod.start(podCleanup, { MAX_PAYLOAD: '100000' }, { main: POD });
});
afterEach(async () => {
  await cleanup.run();
  if ((await pod.metric('gateway_unhandled_faults_total')) > 0) throw new Error(pod.output());
});
afterAll(() => podCleanup.run());

type Options = Partial<ManagerOptions & SocketOptions>;

const KINDS: Readonly<Record<string, { readonly transports: string[]; readonly at: string }>> = {
  'WebSocket alone': { transports: ['websocket'], at: 'websocket' },
  'long-polling alone': { transports: ['polling'], at: 'polling' },
  'an upgrade from long-polling': { transports: ['polling', 'websocket'], at: 'websocket' },
};

/** What the next event of this name carries. */
async function next(socket: Socket, event: string): Promise<unknown[]> {
  return new Promise((resolve) => {
    socket.once(event, (...args: unknown[]) => resolve(args));
  });
}

function ask(socket: Socket, event: string, ...args: unknown[]): Promise<unknown> {
  return socket.timeout(5000).emitWithAck(event, ...args);
}

describe.each(Object.entries(KINDS))('over %s', (_name, { transports, at }) => {
  function client(path = '', options: Options = {}): Socket {
    const socket = io(pod.url + path, { forceNew: true, reconnection: false, transports, ...options });
    return cleanup.add(socket, () => socket.disconnect());
  }

  /** A client that is connected, and has been upgraded if it is to be. */
  async function connected(path = '', options: Options = {}): Promise<Socket> {
    const socket = client(path, options);
    await until('the connection', () => socket.connected && socket.io.engine.transport.name === at);
    return socket;
  }

  test('a client knows its id and gets its welcome', async () => {
    const socket = client();
    const [welcome] = await next(socket, 'welcome');
    expect(welcome).toEqual({ message: 'Successfully connected to Quantum Trader Pro real-time feed.' });
    expect(socket.id).toMatch(/^[\w-]{20}$/);
    expect(await ask(socket, 'who am I')).toMatchObject({ id: socket.id, protocol: 4, peer: '127.0.0.1' });
  });

  test('the transport is the one that was asked for', async () => {
    const socket = await connected();
    expect(await ask(socket, 'who am I')).toMatchObject({ transport: at });
  });

  test('what a client sends comes back as it was', async () => {
    const socket = await connected();
    const args = [1, -0.5, 'text', '', true, null, [1, [2]], { a: { b: 'c' } }, 'Grüße, 世界 🚀', '4\u001e2'];
    const answer = next(socket, 'echo');
    socket.emit('echo', ...args);
    expect(await answer).toEqual([...args, 0]);
  });

  test('a hundred events arrive in the order they were sent, in both directions', async () => {
    const socket = await connected();
    const got: unknown[] = [];
    socket.on('echo', (i) => got.push(i));
    for (let i = 0; i < 100; i++) socket.emit('echo', i);
    socket.on('one of many', (i) => got.push(i));
    await until('the echoes', () => got.length === 100);
    socket.emit('many', 100);
    await until('the others', () => got.length === 200);
    const upTo = Array.from({ length: 100 }, (_, i) => i);
    expect(got).toEqual([...upTo, ...upTo]);
  });

  test('what is emitted before the connection is there arrives after it', async () => {
    const socket = client();
    const answer = next(socket, 'echo');
    socket.emit('echo', 'early');
    expect(await answer).toEqual(['early', 0]);
  });

  test('a message of 60 KB passes, both ways', async () => {
    const socket = await connected();
    const text = 'é'.repeat(30_000);
    expect(await ask(socket, 'ack', text)).toBe(text);
  });

  test('acknowledgements carry any arguments', async () => {
    const socket = await connected();
    const answer = new Promise((resolve) => {
      socket.emit('ack', 1, 'two', { three: [3] }, (...args: unknown[]) => resolve(args));
    });
    expect(await answer).toEqual([1, 'two', { three: [3] }]);
  });

  test('the server can ask a client, and gets an error if there is no answer in time', async () => {
    const socket = await connected();
    socket.on('question', (question: string, done: (answer: string) => void) => {
      if (question !== 'silence') done(`${question}!`);
    });
    expect(await ask(socket, 'ask', 'well')).toBe('well!');
    expect(await ask(socket, 'ask', 'silence')).toContain('operation has timed out');
  });

  test('the server can ask everybody at once', async () => {
    const first = await connected('/dynamic-1');
    const second = await connected('/dynamic-1');
    first.on('question', (_: string, done: (answer: number) => void) => done(1));
    second.on('question', (_: string, done: (answer: number) => void) => done(2));
    expect(new Set((await ask(first, 'ask everybody')) as number[])).toEqual(new Set([1, 2]));
  });

  test('when not everybody answers in time, the server has the answers that came', async () => {
    const first = await connected('/dynamic-5');
    const second = await connected('/dynamic-5');
    first.on('question', (_: string, done: (answer: number) => void) => done(1));
    const answer = new Promise((resolve) => {
      second.emit('ask for every answer', (...args: unknown[]) => resolve(args));
    });
    expect(await answer).toEqual([expect.stringContaining('operation has timed out'), [1]]);
  });

  test('flags of an emit do not change what arrives', async () => {
    const socket = await connected();
    const sent = next(socket, 'sent');
    socket.emit('flags', 'with flags', Buffer.from('x'));
    expect((await sent).slice(0, 3)).toEqual(['with flags', Buffer.from('x'), 0]);
    const message = next(socket, 'message');
    socket.emit('send', 'a message');
    expect(await message).toEqual(['a message', 0]);
  });

  test('handlers may listen to the packets of the connection', async () => {
    const socket = await connected();
    expect(await ask(socket, 'ack', 1)).toBe(1);
    const passed = new Set((await ask(socket, 'what passed')) as string[]);
    expect(passed).toEqual(new Set(['data', 'drain', 'message', 'packet', 'packetCreate']));
  });

  test('the engine counts its clients', async () => {
    const socket = await connected();
    const count = async (): Promise<number> =>
      new Promise((resolve) => socket.emit('how many', '/', (_: number, clients: number) => resolve(clients)));
    const before = await count();
    expect(before).toBeGreaterThan(0);
    const other = await connected();
    await until('one more', async () => (await count()) === before + 1);
    other.disconnect();
    await until('one less', async () => (await count()) === before);
  });

  test('bytes come back as they were: alone, nested, several, none, and between texts', async () => {
    const socket = await connected();
    const got: unknown[][] = [];
    socket.on('echo', (...args: unknown[]) => got.push(args));
    const sent = [
      [Buffer.from([0, 1, 254, 255])],
      [{ deep: [{ bytes: Buffer.from('a') }] }, Buffer.from('b'), 'text', Buffer.from('c')],
      [Buffer.alloc(0)],
      ['between'],
      [Buffer.alloc(20_000, 7)],
    ];
    for (const args of sent) socket.emit('echo', ...args);
    await until('the echoes', () => got.length === sent.length);
    expect(got).toEqual(sent.map((args) => [...args, 0]));
  });

  test('acknowledgements carry bytes, both ways', async () => {
    const socket = await connected();
    socket.on('question', (question: Buffer, done: (answer: Buffer) => void) =>
      done(Buffer.concat([question, question])),
    );
    expect(await ask(socket, 'ack', Buffer.from([1, 2]))).toEqual(Buffer.from([1, 2]));
    expect(await ask(socket, 'ask', Buffer.from([3]))).toEqual(Buffer.from([3, 3]));
  });

  test('a broadcast reaches all the others, one to everybody the sender too, with bytes as well', async () => {
    const sender = await connected('/dynamic-2');
    const other = await connected('/dynamic-2');
    const got: unknown[] = [];
    sender.on('sent', (what) => got.push(['sender', what]));
    const first = next(other, 'sent');
    sender.emit('broadcast', { bytes: Buffer.from('x') });
    expect(await first).toEqual([{ bytes: Buffer.from('x') }, 0]);
    const second = next(other, 'sent');
    sender.emit('everybody', 'text');
    expect(await second).toEqual(['text', 0]);
    await until('the sender to get it too', () => got.length === 1);
    expect(got).toEqual([['sender', 'text']]);
  });

  test('what goes to a room reaches those who are in it, and nobody who has left', async () => {
    const sender = await connected();
    const member = await connected();
    const got: unknown[] = [];
    member.on('sent', (what) => got.push(what));
    expect(await ask(member, 'join', 'a room')).toContain('a room');
    sender.emit('to', 'a room', 'in');
    await until('the message to the room', () => got.length === 1);
    expect(await ask(member, 'leave', 'a room')).not.toContain('a room');
    sender.emit('to', 'a room', 'out');
    sender.emit('to', member.id, 'to its own room');
    await until('the message to its own room', () => got.length === 2);
    expect(got).toEqual(['in', 'to its own room']);
  });

  test('a room can be left out', async () => {
    const sender = await connected('/dynamic-3');
    const member = await connected('/dynamic-3');
    const got: unknown[] = [];
    for (const socket of [sender, member]) socket.on('sent', (what) => got.push([socket === sender, what]));
    await ask(member, 'join', 'left out');
    sender.emit('except', 'left out', 1);
    sender.emit('everybody', 2);
    await until('three messages', () => got.length === 3);
    expect(got).toEqual(
      expect.arrayContaining([
        [true, 1],
        [true, 2],
        [false, 2],
      ]),
    );
  });

  test('sockets are found, moved and disconnected by room', async () => {
    const other = await connected();
    const member = await connected();
    await ask(member, 'join', 'from');
    expect(await ask(other, 'move all', 'from', 'to')).toEqual([member.id]);
    const end = next(member, 'disconnect');
    other.emit('kick all', 'to');
    expect((await end)[0]).toBe('io server disconnect');
    expect(other.connected).toBe(true);
  });

  test('a volatile event reaches a client that reads', async () => {
    const socket = await connected();
    const answer = next(socket, 'sent');
    const retry = setInterval(() => socket.emit('volatile', 'v'), 50);
    expect(await answer).toEqual(['v', 0]);
    clearInterval(retry);
  });

  test('listeners for outgoing events see what is emitted', async () => {
    const socket = await connected();
    const answer = next(socket, 'echo');
    socket.emit('echo');
    await answer;
    expect(await ask(socket, 'what was sent')).toContain('echo');
  });

  test('namespaces share a connection, and one can be left while the others stay', async () => {
    const root = await connected();
    const { io: manager } = root;
    const second = cleanup.add(manager.socket('/second'), (socket) => socket.disconnect());
    const dynamic = cleanup.add(manager.socket('/dynamic-4'), (socket) => socket.disconnect());
    await until('the namespaces', () => second.connected && dynamic.connected);
    expect(new Set([root.id, second.id, dynamic.id]).size).toBe(3);
    expect(await ask(second, 'ack', Buffer.from('2'))).toEqual(Buffer.from('2'));
    second.disconnect();
    expect(await ask(dynamic, 'ack', 'd')).toBe('d');
    expect(await ask(root, 'ack', 'r')).toBe('r');
    second.connect();
    await until('the namespace again', () => second.connected);
    expect(await ask(second, 'ack', 'again')).toBe('again');
  });

  test('a namespace that is not there is refused, and the connection stays', async () => {
    const root = await connected();
    const none = cleanup.add(root.io.socket('/none'), (socket) => socket.disconnect());
    const [error] = (await next(none, 'connect_error')) as [Error];
    expect(error.message).toBe('Invalid namespace');
    expect(await ask(root, 'ack', 1)).toBe(1);
  });

  test('a middleware refuses with a message and data, or lets in, even if it takes its time', async () => {
    const refused = client('', { auth: { refuse: true } });
    const [error] = (await next(refused, 'connect_error')) as [Error & { data?: unknown }];
    expect(error.message).toBe('refused');
    expect(error.data).toEqual({ why: 'you asked for it' });
    const late = await connected('', { auth: { slow: true } });
    expect(await ask(late, 'ack', 1)).toBe(1);
    const guarded = client('/guarded', { auth: { token: 'wrong' } });
    expect(((await next(guarded, 'connect_error')) as [Error])[0].message).toBe('wrong token');
    guarded.auth = { token: 'right' };
    guarded.connect();
    await until('the second try', () => guarded.connected);
  });

  test('a middleware of a socket refuses an event', async () => {
    const socket = await connected();
    const told = next(socket, 'told');
    socket.emit('forbidden');
    expect(await told).toEqual(['not this one', 0]);
    expect(socket.connected).toBe(true);
  });

  test('handlers see the handshake', async () => {
    const socket = await connected('', {
      auth: { key: 'value' },
      query: { from: 'a test' },
      extraHeaders: { 'user-agent': 'agent', origin: 'http://page.test' },
    });
    const { seen } = (await ask(socket, 'who am I')) as { seen: Record<string, unknown> };
    expect(seen).toMatchObject({
      auth: { key: 'value' },
      query: { EIO: '4', from: 'a test' },
      headers: { origin: 'http://page.test' },
      requestUserAgent: 'agent',
      address: '127.0.0.1',
      xdomain: true,
      secure: false,
      url: '/socket.io/',
    });
    expect(Math.abs(Number(seen['issued']) - Date.now())).toBeLessThan(30_000);
    expect(Math.abs(Date.parse(String(seen['time'])) - Date.now())).toBeLessThan(30_000);
  });

  test('a client that is disconnected by the server is told so', async () => {
    const watcher = await connected();
    for (const close of [false, true]) {
      const socket = await connected();
      const { id } = socket;
      const end = next(socket, 'disconnect');
      socket.emit('kick', close);
      expect((await end)[0]).toBe('io server disconnect');
      const ends = await ask(watcher, 'how did it end', id);
      expect(ends).toEqual([
        ['disconnecting', 'server namespace disconnect', false],
        ['disconnect', 'server namespace disconnect', false],
      ]);
    }
  });

  test('handlers see how a client went, while it is still in its rooms', async () => {
    const watcher = await connected();
    const leaving = await connected();
    const lost = await connected();
    const reasons: [Socket, string][] = [
      [leaving, 'client namespace disconnect'],
      [lost, 'transport close'],
    ];
    const ids = reasons.map(([socket]) => socket.id);
    for (const [socket] of reasons) await ask(socket, 'join', 'a room');
    leaving.disconnect();
    lost.io.engine.close();
    for (const [i, [, reason]] of reasons.entries()) {
      await until(
        'both events',
        async () => ((await ask(watcher, 'how did it end', ids[i])) as unknown[]).length === 2,
      );
      expect(await ask(watcher, 'how did it end', ids[i])).toEqual([
        ['disconnecting', reason, true],
        ['disconnect', reason, false],
      ]);
    }
  });

  test('a message above MAX_PAYLOAD closes the connection of its sender', async () => {
    const socket = await connected();
    const end = next(socket, 'disconnect');
    socket.emit('echo', 'x'.repeat(200_000));
    expect(['transport close', 'transport error']).toContain((await end)[0]);
  });

  test('a client whose engine is closed comes back by itself', async () => {
    const socket = await connected('', { reconnection: true, reconnectionDelay: 10 });
    const before = socket.id;
    socket.io.engine.close();
    await until('the socket to be another one', () => socket.connected && socket.id !== before);
    expect(await ask(socket, 'ack', 'back')).toBe('back');
  });

  test('headers and auth are released once the connection handlers have run', async () => {
    const socket = await connected('', { auth: { key: 'value' }, extraHeaders: { cookie: 'x'.repeat(1000) } });
    expect(await ask(socket, 'who am I')).toMatchObject({ now: { headers: 0, auth: 0, requestHeaders: 0 } });
  });
});
