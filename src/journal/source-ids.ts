import { createHash } from 'node:crypto';
import { randomName } from '../random-name.js';

/** Characters that stand for the name of the stream. */
const MARK_LENGTH = 6;
/** The id of an entry of a stream, in front of what makes it random. */
const STREAM_ID = /^\d+-\d+(?=\.)/;

/** Ids of journal entries that are made of the entries of one source stream. They name those, for whoever reads the journal. */
export class SourceIds {
  readonly #prefix: string;

  /** @param stream - the name of the source stream */
  constructor(stream: string) {
    this.#prefix = `s${createHash('sha256').update(stream).digest('base64url').slice(0, MARK_LENGTH)}`;
  }

  /** A new id. @param id - of the entry in the source stream */
  make(id: string): string {
    return `${this.#prefix}${id}.${randomName(6)}`;
  }

  /** The id in the source stream of the entry that this one was made of; `undefined` if it does not come from there. */
  origin(entry: { readonly id: string }): string | undefined {
    return entry.id.startsWith(this.#prefix) ? STREAM_ID.exec(entry.id.slice(this.#prefix.length))?.[0] : undefined;
  }
}
