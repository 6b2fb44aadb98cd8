/**
 * Does with a Socket.IO server what the parent process asks for: it gets { id, steps: [[method, ...args], ...] }, and the methods
 * are called one on the result of the other, beginning with the server. It answers { id, result } or { id, error }.
 */
export function answerCalls(server) {
  const perform = async (steps) => {
    let value = server;
    for (const [method, ...args] of steps) value = await value[method](...args);
    // Of sockets, only what can be sent; of operators, nothing.
    if (Array.isArray(value)) return value.map((item) => item?.id ?? item);
    return typeof value === 'object' ? undefined : value;
  };
  process.on('message', ({ id, steps }) => {
    perform(steps).then(
      (result) => process.send({ id, result }),
      (error) => process.send({ id, error: String(error) }),
    );
  });
}
