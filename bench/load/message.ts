const SEQ_DIGITS = 8;
const TIME_DIGITS = 16;
/** What every event packet of a signal starts with; the number and the time stand first in the payload, at fixed places. */
const HEAD = '42["new_signal",{"n":"';
const BETWEEN = '","at":"';
const TIME_AT = HEAD.length + SEQ_DIGITS + BETWEEN.length;

/** Microseconds of the machine's monotonic clock, the same in every process. */
export function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/**
 * The JSON text of a signal for measuring.
 *
 * @param n - its number, from 0
 * @param dueMicros - when it was meant to be sent, which may be earlier than when it is
 */
export function signalText(n: number, dueMicros: number): string {
  const seq = String(n).padStart(SEQ_DIGITS, '0');
  const at = String(dueMicros).padStart(TIME_DIGITS, '0');
  return (
    `{"n":"${seq}${BETWEEN}${at}","type":"QUANTUM_CIPHER","signal":"BUY","price":162.5,"symbol":"BTC/USDT",` +
    `"timeframe":"1m","timestamp":"2023-10-27T10:00:00Z"}`
  );
}

function digits(bytes: Buffer, from: number, count: number): number {
  let value = 0;
  for (let i = from; i < from + count; i++) value = value * 10 + (bytes[i] ?? 0) - 48;
  return value;
}

/** Reads the number and the time out of a packet at a place in a buffer; `undefined` if it is another kind of packet. */
export function readSignal(bytes: Buffer, at: number, length: number): { n: number; dueMicros: number } | undefined {
  // "42["new_" is told from "42["welcome" and from Engine.IO's own packets by these two bytes.
  if (length < TIME_AT + TIME_DIGITS || bytes[at] !== 0x34 || bytes[at + 4] !== 0x6e) return undefined;
  return {
    n: digits(bytes, at + HEAD.length, SEQ_DIGITS),
    dueMicros: digits(bytes, at + TIME_AT, TIME_DIGITS),
  };
}
