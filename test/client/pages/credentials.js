import { connectSignals } from 'signal-gateway/client';

const query = new URLSearchParams(location.search);
const socket = { transports: ['polling'], withCredentials: query.has('credentials'), reconnectionDelay: 200 };
const client = connectSignals(query.get('gateway'), { socket });
client.onState((state) => {
  const row = document.createElement('li');
  row.textContent = state.name === 'reconnecting' ? state.reason : state.name;
  document.querySelector('#states').append(row);
});
