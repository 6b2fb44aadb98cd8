import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** One environment variable: how its text becomes a value. */
export interface Variable<T> {
  readonly schema: z.ZodType<T, string>;
  /** Used when the variable is unset or empty; `undefined` leaves the setting unset. */
  readonly fallback: string | undefined;
  /** Which values are valid, for the error. */
  readonly takes: string;
  /** What to write instead of an invalid value, where more can be said than {@link takes}. */
  readonly explain?: (raw: string) => string;
  /** The value of a secret is never printed. */
  readonly secret?: true;
}

/** Environment variables, for example `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One thing that is wrong with the environment. */
export interface VariableProblem {
  readonly variable: string;
  /** What it was set to; secrets are hidden. */
  readonly got: string;
  readonly takes: string;
}

/** A whole number in a range. @param fallback - `undefined` leaves the setting unset */
export function wholeNumber(
  range: readonly [min: number, max: number],
  fallback?: number,
  unit = '',
): Variable<number> {
  const [min, max] = range;
  return {
    schema: z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number)
      .refine((value) => value >= min && value <= max),
    fallback: fallback?.toString(),
    takes: `a whole number${unit === '' ? '' : ` of ${unit}`} from ${min} to ${max}`,
  };
}

/** A text of a shape. */
export function text(fallback: string | undefined, takes: string, shape = /^.+$/s): Variable<string> {
  return { schema: z.string().regex(shape), fallback, takes };
}

/** An address to listen on; an IPv6 address may be in brackets, as in a URL. */
export function address(fallback: string): Variable<string> {
  return {
    schema: z
      .string()
      .regex(/^\S+$/)
      .transform((value) => value.replace(/^\[(.*)\]$/, '$1')),
    fallback,
    takes: 'an address to listen on',
  };
}

/** One of a few words. */
export function oneOf<const T extends readonly string[]>(words: T, fallback: T[number]): Variable<T[number]> {
  const takes = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return { schema: z.enum(words), fallback, takes };
}

/** The parts of a comma-separated list. */
export function commaList(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** The path of a file that can be read at start. */
export function file(): Variable<string> {
  return {
    schema: z.string().refine((path) => {
      try {
        return readFileSync(path).length > 0;
      } catch {
        return false;
      }
    }),
    fallback: undefined,
    takes: 'the path of a PEM file that can be read',
  };
}
