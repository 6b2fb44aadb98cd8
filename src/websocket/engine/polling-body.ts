import type { HttpErrorCode } from '../../errors.js';
import { isEncoded } from '../../http/content-encoding.js';

/**
 * What is skipped of a body in chunks once it is too long, so that the client can read why: one that is still sending does
 * not read. uWebSockets.js ends a body that arrives too slowly.
 */
const MAX_SKIPPED_BYTES = 16 * 1024 * 1024;

/** How far a body is: more follows, it is whole, or it is so much too long that its connection is to be closed. */
export type BodyState = 'partial' | 'whole' | 'endless';

/** What is wrong with a body, as far as its headers tell. */
function refusalOf(headers: Readonly<Record<string, string>>, limitBytes: number): HttpErrorCode | undefined {
  if (isEncoded(headers['content-encoding'])) return 'unsupported_encoding';
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/octet-stream') return 'binary_body';
  const length = headers['content-length'];
  if (length === undefined) return headers['transfer-encoding'] === undefined ? 'length_required' : undefined;
  // uWebSockets.js takes nothing but numbers.
  return Number(length) > limitBytes ? 'body_too_large' : undefined;
}

/** Reads the body of a POST, with its length announced or in chunks, up to a limit. */
export class BodyReader {
  readonly #limitBytes: number;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #refusal: HttpErrorCode | undefined;
  #isDone = false;
  #isForgotten = false;

  constructor(headers: Readonly<Record<string, string>>, limitBytes: number) {
    this.#limitBytes = limitBytes;
    this.#refusal = refusalOf(headers, limitBytes);
  }

  /** What is wrong with the body, as far as it is known. */
  get refusal(): HttpErrorCode | undefined {
    return this.#refusal;
  }

  /** The body, once it is whole. */
  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  /** Keeps nothing of the body any more, neither what has arrived nor what follows: no one will read it. */
  forget(): void {
    this.#isForgotten = true;
    this.#chunks.length = 0;
  }

  /**
   * Takes a part of the body.
   *
   * @returns `whole` and `endless` only once
   */
  take(chunk: ArrayBuffer, isLast: boolean): BodyState {
    if (this.#isDone) return 'partial';
    this.#size += chunk.byteLength;
    if (this.#size > this.#limitBytes) {
      this.#refusal = 'body_too_large';
      this.#chunks.length = 0;
    } else if (chunk.byteLength > 0 && !this.#isForgotten) {
      // Copied: uWebSockets.js takes the memory back.
      this.#chunks.push(Buffer.from(chunk.slice(0)));
    }
    const isEndless = this.#size > this.#limitBytes + MAX_SKIPPED_BYTES;
    this.#isDone = isLast || isEndless;
    if (isLast && this.#size === 0) this.#refusal = 'empty_body';
    if (!this.#isDone) return 'partial';
    return isLast ? 'whole' : 'endless';
  }
}
