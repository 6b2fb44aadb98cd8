/**
 * Control for `ingest`: `straight` with a bare journal in between. What is heard is appended (`XADD`), and another
 * connection waits for it (`XREAD BLOCK`) and emits. No checks, no lease, no script: the floor of anything that keeps a
 * journal in Redis.
 */
import { Server } from 'socket.io';
import { listen } from '../../src/http/listener.js';
import { loadUws } from '../../src/http/uws.js';
import { announce, connectRedis, nextOffset, subscribe } from './feed.js';

const JOURNAL = 'bare-journal';
/** Entries kept, and read at most in one go; both as in the gateway. */
const MAXLEN = 100_000;
const PAGE = 1000;

const uws = loadUws();
const app = uws.App();
const io = new Server({ serveClient: false });
io.attachApp(app);

async function readOn(): Promise<never> {
  const reader = connectRedis();
  for (let last = '0-0'; ;) {
    const [[, entries] = ['', []]] = (await reader.xread('COUNT', PAGE, 'BLOCK', 0, 'STREAMS', JOURNAL, last)) ?? [];
    for (const [id, [, json = '']] of entries) {
      io.local.emit('new_signal', JSON.parse(json), nextOffset());
      last = id;
    }
  }
}

const commands = connectRedis();
void readOn();
await subscribe((json) => {
  void commands.xadd(JOURNAL, 'MAXLEN', '~', MAXLEN, '*', 'json', json);
});
announce((await listen(uws, app, { host: '127.0.0.1', port: 0, role: 'PORT' })).port);
