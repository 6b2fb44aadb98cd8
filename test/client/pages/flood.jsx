import { StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { connectSignals } from 'signal-gateway/client';
import { useSignals } from 'signal-gateway/react';

const url = new URLSearchParams(location.search).get('gateway');
// One client for two components.
const client = connectSignals(url);
window.counts = { commits: 0, frames: 0, signals: 0 };
client.onSignal(() => window.counts.signals++);
requestAnimationFrame(function frame() {
  window.counts.frames++;
  requestAnimationFrame(frame);
});

function Prices() {
  const { signals } = useSignals(client, { limit: 50 });
  useEffect(() => void window.counts.commits++);
  return (
    <ol id="prices">
      {signals.map(({ signal, offset }) => (
        <li key={offset}>{signal.price}</li>
      ))}
    </ol>
  );
}

function Statuses() {
  const { statuses } = useSignals(client);
  return <p id="statuses">{[...statuses.values()].map(({ status }) => status).join(' ')}</p>;
}

createRoot(document.querySelector('#root')).render(
  <StrictMode>
    <Prices />
    <Statuses />
  </StrictMode>,
);
