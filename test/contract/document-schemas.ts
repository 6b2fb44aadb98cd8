import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

/** Part of a document. */
export type Tree = Readonly<Record<string, unknown>>;

/** A value that is an object, or an empty one in its place. */
export function tree(value: unknown): Tree {
  return typeof value === 'object' && value !== null ? (value as Tree) : {};
}

/** The value at a JSON pointer that begins with `#`. */
export function at(document: Tree, pointer: string): unknown {
  const keys = pointer
    .replace(/^#\/?/, '')
    .split('/')
    .filter((key) => key !== '')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  let value: unknown = document;
  for (const key of keys) value = tree(value)[key];
  return value;
}

/** The pointer of a member. */
export function below(pointer: string, ...keys: readonly (string | number)[]): string {
  return [pointer, ...keys.map((key) => String(key).replaceAll('~', '~0').replaceAll('/', '~1'))].join('/');
}

/** All references of a document. */
export function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key === '$ref' && typeof member === 'string' ? [member] : references(member),
  );
}

/** What is loose in a document in case the gateway learns more: a copy in which what the gateway sends has named fields only. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const { allOf, properties } = value as { allOf?: unknown[]; properties?: unknown };
  const isProblem = allOf !== undefined && allOf.length > 1;
  const members = Object.entries(value).map(([key, member]) => [
    key,
    isProblem && key === 'allOf' ? member : closed(member),
  ]);
  const copy = Object.fromEntries(members) as Record<string, unknown>;
  if (isProblem) copy['unevaluatedProperties'] = false;
  else if (properties !== undefined) copy['additionalProperties'] ??= false;
  return copy;
}

/** Checks values by the schemas of a document. */
export class DocumentSchemas {
  readonly #ajv: Ajv | Ajv2020;

  /** @param dialect - `closed`: an object with a field that the document does not name is refused where it names any */
  constructor(document: Tree, { draft, isClosed = false }: { draft: 7 | 2020; isClosed?: boolean }) {
    const options = {
      strict: true,
      strictTypes: false,
      strictTuples: false,
      strictRequired: false,
      allErrors: true,
    } as const;
    this.#ajv = draft === 7 ? new Ajv(options) : new Ajv2020(options);
    (addFormats as unknown as (ajv: Ajv) => void)(this.#ajv);
    const { components, paths } = document;
    const parts = { components, ...(paths !== undefined && { paths }) };
    const all = (isClosed ? closed(parts) : parts) as {
      components: { schemas: Record<string, { additionalProperties?: unknown }> };
    };
    // Open by itself: it is only used with what says the rest.
    if (isClosed) delete all.components.schemas['Problem']?.additionalProperties;
    this.#ajv.addVocabulary(Object.keys(parts));
    this.#ajv.addSchema(all, 'document');
  }

  /**
   * What is wrong with a value.
   *
   * @param pointer - of the schema in the document
   * @returns `undefined` when it is valid
   */
  fault(pointer: string, value: unknown): string | undefined {
    const validate = this.#ajv.getSchema(`document${encodeURI(pointer)}`);
    if (validate === undefined) throw new Error(`the document has no schema at ${pointer}`);
    if (validate(value) === true) return undefined;
    const text = value === undefined ? 'nothing' : JSON.stringify(value);
    return `${text.slice(0, 500)} is not what ${pointer} says: ${this.#ajv.errorsText(validate.errors)}`;
  }
}
