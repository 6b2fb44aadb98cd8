import { InvalidArgumentError, Option } from 'commander';
import { KEY_SHAPE, MAX_KEY_LENGTH } from '../contract/publish-request.js';
import { EXIT, StartError } from '../errors.js';

/** Reads an option that takes a whole number. */
export function wholeNumberOption(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
  };
}

/** Reads an option that takes a number above 0. */
export function positiveNumberOption(high: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : NaN;
    if (value > 0 && value <= high) return value;
    throw new InvalidArgumentError(`It must be a number above 0 and up to ${high}.`);
  };
}

/** Reads an option that is sent as an `Idempotency-Key`. */
export function idempotencyKey(text: string): string {
  // Spaces at either end would be lost on the way.
  if (KEY_SHAPE.test(text) && text.length <= MAX_KEY_LENGTH && text.trim() === text) return text;
  throw new InvalidArgumentError(`It must have 1 to ${MAX_KEY_LENGTH} visible ASCII characters.`);
}

/** The option `--url`, which a variable can set too. Its value is a `URL`. */
export function urlOption(description: string, variable: string, fallback: string): Option {
  return new Option('--url <url>', description)
    .env(variable)
    .argParser((text) => {
      const url = URL.canParse(text || fallback) ? new URL(text || fallback) : undefined;
      if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url;
      const wanted = `an address such as ${fallback}, without a user`;
      // Commander shows the value that it refuses, and an "@" may follow a password.
      if (text.includes('@'))
        throw new StartError(`--url, or the variable ${variable}, must be ${wanted}.`, EXIT.config);
      throw new InvalidArgumentError(`It must be ${wanted}.`);
    })
    .default(new URL(fallback), fallback);
}

/** An option or variable of text; an empty one counts as unset. */
export function unlessEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
