/**
 * Waits for something, up to a limit.
 *
 * @param limit - ms
 * @param what - what is waited for, for the error
 * @throws when the limit is over; the work itself goes on unheard
 */
export async function withTimeout<T>(limit: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    // After a pause of this process what is waited for may be there to be read: look after the next turn of the loop.
    timer = setTimeout(() => setImmediate(() => reject(new Error(`${what} took longer than ${limit} ms`))), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
