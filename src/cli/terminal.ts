import { styleText } from 'node:util';
import { EXIT, messageOf } from '../errors.js';

/** A style of a text on a terminal. */
export type Style = Parameters<typeof styleText>[0];

/** Styles texts for a stream; not at all if it is not a terminal, or colours are turned off (`NO_COLOR`). */
export function styleFor(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const colours = stream.isTTY && stream.hasColors();
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text);
}

/** A text from elsewhere without the characters that a terminal would execute. */
export function stripControlCharacters(text: string): string {
  // eslint-disable-next-line no-control-regex -- taking control characters out is the point
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}

/** Errors that say that the reader is gone: of a pipe, of a socket, of a terminal. */
const READER_LEFT: ReadonlySet<string | undefined> = new Set(['EPIPE', 'ECONNRESET', 'EIO']);

function onOutputLost(error: NodeJS.ErrnoException): void {
  if (READER_LEFT.has(error.code)) process.exit();
  tellWriteError(error);
  process.exit(EXIT.failed);
}

function onReceiptLost(error: NodeJS.ErrnoException): void {
  if (READER_LEFT.has(error.code)) return;
  tellWriteError(error);
  process.exitCode = EXIT.failed;
}

function tellWriteError(error: Error): void {
  process.stderr.write(`Cannot write: ${messageOf(error)}\n`);
}

/**
 * Ends the process silently, with its exit code so far, when nobody reads its output any more: `head` leaves when it has its
 * lines. A command whose work is not for the reader calls {@link goOnWithoutReader}.
 */
export function endWithReader(): void {
  process.stdout.on('error', onOutputLost);
  // Standard error is not the output: whoever does not want it may close it.
  process.stderr.on('error', () => {});
}

/** Carries on when nobody reads the output: the work is not for the reader. */
export function goOnWithoutReader(): void {
  process.stdout.off('error', onOutputLost).on('error', onReceiptLost);
}
