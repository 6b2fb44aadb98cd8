// A gateway as main.ts starts it, whose Socket.IO server does what the parent process asks for. Server-side events named
// "question" are acknowledged with the pod's name.
import { createGateway } from '../../dist/gateway.js';
import { answerCalls } from './answer-calls.mjs';

const { app, pod } = createGateway();

process.on('unhandledRejection', (error) => app.noteFault('promise', error));
app.sio.on('question', (...args) => args.at(-1)(pod));
answerCalls(app.sio);

await app.start();
