const SEQ_DIGITS = 8;
const TIME_DIGITS = 16;
/** What every event packet of a signal starts with; the number and the time stand first in the payload, at fixed places. */
const HEAD = '42["new_signal",{"n":"';
const BETWEEN = '","at":"';
const TIME_AT = HEAD.length + SEQ_DIGITS + BETWEEN.length;
/** Length of a packet up to the end of the time: anything shorter is no signal. */
const SHORTEST = TIME_AT + TIME_DIGITS;
const PAD = ',"pad":""';

/** Symbols that signals go round, and how many of them each client wants. */
export interface Topics {
  readonly symbols: number;
  readonly perClient: number;
}

// `performance.now()` reads the same monotonic clock as `hrtime`, counted from the start of this process, and makes no
// BigInt: it is called for every read of every client. A process that is put aside between the two readings gets an origin
// that is too early, so that is tried often enough for one try to be undisturbed.
const ORIGIN = Math.max(
  ...Array.from({ length: 100 }, () => Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000),
);

/** Microseconds of the machine's monotonic clock, the same in every process (`CLOCK_MONOTONIC`). */
export function nowMicros(): number {
  return Math.floor(ORIGIN + performance.now() * 1000);
}

/**
 * Name of a symbol.
 *
 * @param index - from 0
 * @param symbols - how many there are; with one it is that of the documentation
 */
export function symbolName(index: number, symbols: number): string {
  return symbols === 1 ? 'BTC/USDT' : `S${String(index).padStart(3, '0')}/USDT`;
}

/**
 * A way to make the JSON texts of signals: signal `n` has symbol `n % symbols`.
 *
 * @param payload - bytes of each text; 0 for as few as a signal needs
 * @param symbols - how many symbols they go round
 * @returns makes the text of signal `n`, which was meant to be sent at `dueMicros` (which may be earlier than when it is)
 * @throws RangeError if a signal doesn't fit into `payload` bytes
 */
export function signalTexts(payload = 0, symbols = 1): (n: number, dueMicros: number) => string {
  const tails = Array.from({ length: symbols }, (_, index) => {
    const fields =
      `","type":"QUANTUM_CIPHER","signal":"BUY","price":162.5,"symbol":"${symbolName(index, symbols)}",` +
      `"timeframe":"1m","timestamp":"2023-10-27T10:00:00Z"`;
    const least = `{"n":"`.length + SEQ_DIGITS + BETWEEN.length + TIME_DIGITS + fields.length + 1;
    if (payload === 0 || payload === least) return `${fields}}`;
    const pad = payload - least - PAD.length;
    if (pad < 0)
      throw new RangeError(`A signal takes ${least} bytes or at least ${least + PAD.length}; not ${payload}.`);
    return `${fields},"pad":"${'x'.repeat(pad)}"}`;
  });
  return (n, dueMicros) => {
    const seq = String(n).padStart(SEQ_DIGITS, '0');
    const at = String(dueMicros).padStart(TIME_DIGITS, '0');
    return `{"n":"${seq}${BETWEEN}${at}${tails[n % symbols] ?? ''}`;
  };
}

/** The shortest JSON text of a signal of the one symbol; see {@link signalTexts}. */
export const signalText: (n: number, dueMicros: number) => string = signalTexts();

/**
 * The symbols that a client wants, as indexes in rising order. Every client has a set of its own, drawn at random but the
 * same in every process and run.
 */
export function symbolsOf(client: number, { symbols, perClient }: Topics): readonly number[] {
  // mulberry32, the 32-bit generator by Tommy Ettinger (public domain).
  let state = Math.imul(client + 1, 0x9e3779b1);
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const wanted = new Set<number>();
  while (wanted.size < Math.min(perClient, symbols)) wanted.add(Math.floor(random() * symbols));
  return [...wanted].toSorted((a, b) => a - b);
}

function digits(bytes: Uint8Array, from: number, count: number): number {
  let value = 0;
  for (let i = from; i < from + count; i++) value = value * 10 + (bytes[i] ?? 0) - 48;
  return value;
}

/** Whether the packet at a place in a buffer is a signal, and not another event or one of Engine.IO's own packets. */
export function isSignal(bytes: Uint8Array, at: number, length: number): boolean {
  // `42["new_` is told from `42["welcome`, `42["status_update` and `40{"sid"` by these two bytes.
  return length >= SHORTEST && bytes[at + 1] === 0x32 && bytes[at + 4] === 0x6e;
}

/** The number of the signal in a packet that {@link isSignal}. */
export function signalNumber(bytes: Uint8Array, at: number): number {
  return digits(bytes, at + HEAD.length, SEQ_DIGITS);
}

/** When the signal in a packet that {@link isSignal} was due, in µs of {@link nowMicros}. */
export function signalDue(bytes: Uint8Array, at: number): number {
  return digits(bytes, at + TIME_AT, TIME_DIGITS);
}
