import { io } from 'socket.io-client';

const socket = io(process.argv[2] ?? 'http://localhost:3000', { auth: { topics: ['BTC/USDT'] } });

socket.on('connect', () => console.log('connected', socket.recovered));
socket.on('disconnect', (reason) => console.log('disconnected', reason));
socket.on('gap', ({ reason, requested, resumed }) => console.log(`lost (${reason}): from ${requested} to ${resumed}`));
socket.on('status_update', ({ service, status }) => console.log(service, status));
socket.on('new_signal', (signal, offset) => console.log(signal.signal, signal.symbol, signal.price, offset));
process.once('SIGINT', () => socket.disconnect());
