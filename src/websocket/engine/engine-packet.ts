/**
 * Types of Engine.IO packets. Each text packet begins with its type, as a digit; a Socket.IO packet is what follows a
 * `message`.
 *
 * Format: https://socket.io/docs/v4/engine-io-protocol/
 */
export const ENGINE_PACKET = {
  open: '0',
  close: '1',
  ping: '2',
  pong: '3',
  message: '4',
  upgrade: '5',
  noop: '6',
} as const;
