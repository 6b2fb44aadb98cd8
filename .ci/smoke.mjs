// Starts the built gateway without Redis and looks whether it does its work on this Node.js.
// node .ci/smoke.mjs [--major=22] [--out=<file for the counts, JSON>]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';

const HOST = '127.0.0.1';
const LIMIT_MS = 15_000;
const SIGNAL = {
  type: 'QUANTUM_CIPHER',
  signal: 'BUY',
  price: 162.5,
  symbol: 'BTC/USDT',
  timeframe: '1m',
  timestamp: '2023-10-27T10:00:00Z',
};

const { values } = parseArgs({ options: { major: { type: 'string' }, out: { type: 'string' } } });
const counts = { passed: 0, failed: 0 };

/** Rejects when a promise takes too long. */
function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${LIMIT_MS} ms for ${what}`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function check(name, body) {
  try {
    await body();
    counts.passed++;
    console.log(`  ok      ${name}`);
  } catch (error) {
    counts.failed++;
    console.log(`  FAILED  ${name}: ${error.message}`);
  }
}

function expectEqual(what, got, wanted) {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${what} is ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  }
}

const gateway = spawn(process.execPath, [fileURLToPath(new URL('../dist/main.js', import.meta.url))], {
  env: {
    PATH: process.env.PATH,
    HOST,
    PORT: '0',
    ADMIN_HOST: HOST,
    ADMIN_PORT: '0',
    DRAIN_DELAY_SECONDS: '0',
    DRAIN_SECONDS: '1',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const exit = once(gateway, 'exit');
const serving = new Promise((resolve, reject) => {
  let text = '';
  gateway.stdout.on('data', (data) => {
    text += data;
    const lines = text.split('\n').slice(0, -1);
    const line = lines.find((one) => one.includes('"msg":"serving"'));
    if (line !== undefined) resolve(JSON.parse(line));
  });
  gateway.once('exit', (code) => reject(new Error(`the gateway ended with ${code}`)));
});

const clients = [];
try {
  await check(`this is Node.js ${values.major ?? '(any)'}`, () => {
    if (values.major !== undefined) expectEqual('the major version', process.versions.node.split('.')[0], values.major);
  });
  const { port, adminPort } = await within('the gateway to serve', serving);
  const received = [];
  for (const transport of ['websocket', 'polling']) {
    await check(`a client over ${transport} gets the welcome`, async () => {
      const client = io(`http://${HOST}:${port}`, { transports: [transport], reconnection: false, forceNew: true });
      clients.push(client);
      received.push([transport, once(client, 'new_signal')]);
      const [welcome] = await within('a welcome', once(client, 'welcome'));
      expectEqual('the welcome', welcome, {
        message: 'Successfully connected to Quantum Trader Pro real-time feed.',
      });
    });
  }
  await check('a signal can be published', async () => {
    const response = await fetch(`http://${HOST}:${adminPort}/v1/signals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(SIGNAL),
    });
    expectEqual('the status', response.status, 202);
  });
  for (const [transport, signal] of received) {
    await check(`the client over ${transport} gets the signal`, async () => {
      const [payload] = await within('the signal', signal);
      expectEqual('the signal', payload, SIGNAL);
    });
  }
  await check('SIGTERM ends the gateway with exit code 0', async () => {
    gateway.kill('SIGTERM');
    const [code] = await within('the end', exit);
    expectEqual('the exit code', code, 0);
  });
} catch (error) {
  counts.failed++;
  console.log(`  FAILED  ${error.message}`);
} finally {
  for (const client of clients) client.disconnect();
  if (gateway.exitCode === null) gateway.kill('SIGKILL');
}
if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(counts));
console.log(`  smoke run on Node.js ${process.versions.node}: ${counts.passed} good, ${counts.failed} bad`);
process.exit(counts.failed === 0 ? 0 : 1);
