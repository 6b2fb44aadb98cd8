/** What a key holds. */
export type KeyKind = 'string' | 'hash' | 'list' | 'stream';

/** The keys of a gateway by their names behind `{prefix}:`, with what each holds. */
export const KEY_KINDS: Readonly<Record<string, KeyKind>> = {
  meta: 'hash',
  journal: 'stream',
  deletions: 'stream',
  statuses: 'hash',
  sources: 'hash',
  lease: 'string',
  bridge: 'hash',
  claim: 'string',
  probe: 'stream',
  probed: 'hash',
  'kept-topics': 'hash',
  'kept-topics:brief': 'list',
  'kept-topics:long': 'list',
  rejected: 'list',
};

/** Of each named request there is a hash. */
const REQUEST = 'request:';

/** A command that answers with the size of what a key holds, and fails if that is of another kind. */
export const SIZE_COMMANDS: Readonly<Record<KeyKind, 'STRLEN' | 'HLEN' | 'LLEN' | 'XLEN'>> = {
  string: 'STRLEN',
  hash: 'HLEN',
  list: 'LLEN',
  stream: 'XLEN',
};

/** What all keys of a gateway begin with. On a cluster the braces put them into one slot. */
export function keyBase(prefix: string): string {
  return `{${prefix}}:`;
}

/**
 * What a key of a gateway holds.
 *
 * @param name - behind `{prefix}:`
 * @returns `undefined` for a key that no gateway has
 */
export function kindOf(name: string): KeyKind | undefined {
  if (name.startsWith(REQUEST)) return 'hash';
  return Object.hasOwn(KEY_KINDS, name) ? KEY_KINDS[name] : undefined;
}
