import { styleText } from 'node:util';
import { EXIT, messageOf } from '../errors.js';

/** A style of a text on a terminal. */
export type Style = Parameters<typeof styleText>[0];

/** How texts are styled for a stream: not at all where it is no terminal, or colours are turned off (`NO_COLOR`). */
export function styleFor(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const colours = stream.isTTY && stream.hasColors();
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text);
}

/** A text from elsewhere without what a terminal would take for a command. */
export function stripControlCharacters(text: string): string {
  // eslint-disable-next-line no-control-regex -- taking control characters out is the point
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}

/** How the loss of a reader is told: of a pipe, of a socket, of a terminal. */
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
 * Ends the process in silence, with the exit code that it has so far, when nobody reads its output any more, as `head`
 * does when it has its lines. A command whose work is not for the reader calls {@link goOnWithoutReader}.
 */
export function endWithReader(): void {
  process.stdout.on('error', onOutputLost);
  // What is told there is not the output, and whoever does not want it may close it.
  process.stderr.on('error', () => {});
}

/** Goes on when nobody reads what is told: the work is not for the reader. */
export function goOnWithoutReader(): void {
  process.stdout.off('error', onOutputLost).on('error', onReceiptLost);
}
