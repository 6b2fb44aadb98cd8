// Loaded into a gateway (`node --require`): it gets SIGTERM as soon as it listens for it, before it serves.
'use strict';

process.on('newListener', (name) => {
  if (name === 'SIGTERM') queueMicrotask(() => process.emit('SIGTERM'));
});
