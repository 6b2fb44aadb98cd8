import { connectSignals } from 'signal-gateway/client';

const url = process.argv[2] ?? 'http://localhost:3000';
const feed = connectSignals(url, { topics: ['BTC/USDT', 'ETH/USDT@1m'] });

feed.onState(({ name, recovered, reason, error }) => console.log(name, recovered ?? reason ?? error?.code ?? ''));
feed.onStatus(({ service, status }) => console.log(service, status));
feed.onGap(({ reason, requested, resumed }) => console.log(`lost (${reason}): from ${requested} to ${resumed}`));
process.once('SIGINT', () => feed.close());

for await (const { signal, offset } of feed.signals()) {
  console.log(signal.signal, signal.symbol, signal.price, offset);
}
