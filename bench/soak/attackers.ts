// A process of hostile clients: carries out the attacks that it is told, until it is told to stop.
import { assail } from '../../test/support/attacks.js';
import { Random } from '../../test/support/random.js';
import { type AttackName, type AttackOrder, type AttackReport, attackOf } from './attack-orders.js';

let stop = new AbortController();
const random = new Random(1);

function tell(report: AttackReport): void {
  process.send?.(report);
}

async function attack(port: number, names: readonly AttackName[]): Promise<void> {
  const { signal } = stop;
  const begin = performance.now();
  let seconds = 0;
  signal.addEventListener('abort', () => (seconds = (performance.now() - begin) / 1000));
  const done = await Promise.all(names.map((name) => assail(attackOf(name), { port, random, stop: signal })));
  tell({ kind: 'stopped', done, seconds });
}

process.on('message', (order: AttackOrder) => {
  if (order.do === 'stop') {
    stop.abort();
    return;
  }
  stop = new AbortController();
  void attack(order.port, order.names);
});
process.on('disconnect', () => process.exit());
tell({ kind: 'ready' });
