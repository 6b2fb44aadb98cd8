import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { type Cleanup, HOST } from './processes.js';

const STEP_MS = 100;

/**
 * A port that leads to another one over a line that carries only so much towards it; the way back is fast.
 *
 * @param rate - bytes a second
 * @returns its address
 */
export async function slowLine(cleanup: Cleanup, target: number, rate: number): Promise<string> {
  const server = createServer((from) => {
    const to = connect({ host: HOST, port: target, noDelay: true });
    const waiting: Buffer[] = [];
    const timer = setInterval(() => {
      let left = (rate * STEP_MS) / 1000;
      for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
        to.write(part.subarray(0, left));
        if (part.byteLength > left) {
          waiting.unshift(part.subarray(left));
          return;
        }
        left -= part.byteLength;
      }
    }, STEP_MS);
    from.on('data', (data) => waiting.push(data));
    to.pipe(from);
    for (const socket of [from, to]) {
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        clearInterval(timer);
        // What is still on its way back gets there.
        from.end();
        to.destroy();
      });
    }
    cleanup.add(from, (self) => self.destroy());
  });
  cleanup.add(server, (self) => self.close());
  server.listen(0, HOST);
  await once(server, 'listening');
  return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}
