import { styleText } from 'node:util';
import { EXIT, messageOf } from '../errors.js';

/** A style of a text on a terminal. */
export type Style = Parameters<typeof styleText>[0];

/** How texts are styled for a stream: not at all where it is no terminal, or colours are turned off (`NO_COLOR`). */
export function stylist(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const colours = stream.isTTY && stream.hasColors();
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text);
}

/** A text from elsewhere without what a terminal would take for a command. */
export function harmless(text: string): string {
  // eslint-disable-next-line no-control-regex -- taking control characters out is the point
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}

function onWriteError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  process.stderr.write(`Can not write: ${messageOf(error)}\n`);
  process.exit(EXIT.failed);
}

/** Ends the process in silence when nobody reads its output any more, as `head` does when it has its lines. */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', onWriteError);
}

/** Goes on when nobody reads what is told: the work is not for the reader. */
export function goOnWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}
