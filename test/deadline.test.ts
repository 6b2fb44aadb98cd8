import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { withTimeout } from '../src/deadline.js';
import { Cleanup, HOST } from './support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Both ends of a connection. */
async function connection(): Promise<{ near: Socket; far: Socket }> {
  const server = cleanup.add(createServer().listen(0, HOST), (self) => self.close());
  await once(server, 'listening');
  const near = cleanup.add(connect((server.address() as AddressInfo).port, HOST), (self) => self.destroy());
  const [far] = (await once(server, 'connection')) as [Socket];
  cleanup.add(far, (self) => self.destroy());
  return { near, far };
}

test('an answer that arrives while the process is paused is in time', async () => {
  const { near, far } = await connection();
  const answer = withTimeout(50, 'the answer', once(near, 'data'));
  far.write('here');
  // Nothing is read meanwhile, and the limit is over when the loop turns again.
  const end = performance.now() + 200;
  while (performance.now() < end);
  expect(String(await answer)).toBe('here');
});

test('what does not come is given up with its name and the limit', async () => {
  const { near } = await connection();
  await expect(withTimeout(20, 'the answer', once(near, 'data'))).rejects.toThrow('the answer took longer than 20 ms');
});
