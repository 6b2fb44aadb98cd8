import { isUtf8 } from 'node:buffer';

/** One line of a stream; its number counts from 1. */
export type Line = { readonly number: number; readonly end: number } & (
  | { readonly text: string }
  /** Why it cannot be used. */
  | { readonly fault: string }
);

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = '\ufeff';

/**
 * Cuts a stream into lines and skips blank ones. Lines that came together are returned together. Nothing is kept of a line
 * that is too long.
 */
export async function* linesOf(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<readonly Line[]> {
  let parts: Buffer[] = [];
  let size = 0;
  let number = 0;
  /** Bytes read up to the end of the line. */
  let end = 0;

  function take(): Line | undefined {
    number++;
    const bytes = Buffer.concat(parts);
    const long = size > maxBytes;
    parts = [];
    size = 0;
    if (long) return { number, end, fault: `the line is longer than ${maxBytes} bytes` };
    if (!isUtf8(bytes)) return { number, end, fault: 'the line is not valid UTF-8' };
    let text = bytes.toString('utf8');
    if (number === 1 && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
    text = text.trim();
    return text === '' ? undefined : { number, end, text };
  }
  function keep(part: Buffer): void {
    size += part.byteLength;
    end += part.byteLength;
    if (size <= maxBytes) parts.push(part);
    else parts = [];
  }

  for await (const chunk of stream) {
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, at));
      end++;
      from = at + 1;
      const line = take();
      if (line !== undefined) lines.push(line);
    }
    if (from < chunk.byteLength) keep(chunk.subarray(from));
    yield lines;
  }
  if (size > 0) {
    const line = take();
    if (line !== undefined) yield [line];
  }
}
