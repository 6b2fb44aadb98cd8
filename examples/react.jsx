import { useState } from 'react';
import { useSignals } from 'signal-gateway/react';

export function Signals({ url }) {
  const [topics, setTopics] = useState(['*']);
  const { signals, statuses, state, gap } = useSignals(url, { topics, limit: 50 });
  return (
    <>
      <p role="status">{state.name}</p>
      {gap && <p role="alert">Some signals are lost: {gap.reason}</p>}
      <button onClick={() => setTopics(['BTC/USDT'])}>Bitcoin only</button>
      <ul>
        {[...statuses.values()].map(({ service, status }) => (
          <li key={service}>
            {service}: {status}
          </li>
        ))}
      </ul>
      <ol>
        {signals.map(({ signal, offset }) => (
          <li key={offset}>
            {signal.signal} {signal.symbol} {signal.price}
          </li>
        ))}
      </ol>
    </>
  );
}
