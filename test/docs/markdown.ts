import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Folders that are made, not written. */
const MADE = new Set(['node_modules', 'dist', '.git', 'out']);

/** Paths of all Markdown files of the repository, from its root. */
export function markdownFiles(folder = ''): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) return MADE.has(entry.name) ? [] : markdownFiles(path);
      return entry.isFile() && entry.name.endsWith('.md') ? [path] : [];
    })
    .toSorted();
}

/** The text of a file. @param path - from the root of the repository */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Whether there is a file or folder. @param path - from the root of the repository */
export function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}

/** A fenced block of code. */
export interface Block {
  /** What stands behind the opening fence; empty if nothing does. */
  readonly language: string;
  readonly code: string;
}

const FENCED = /^(`{3,})([^\n`]*)\n([\s\S]*?)^\1 *$/gm;

/** The fenced blocks of a Markdown text, in order. */
export function blocks(markdown: string): Block[] {
  return [...markdown.matchAll(FENCED)].map(([, , language = '', code = '']) => ({ language: language.trim(), code }));
}

/** A Markdown text without its code, in which brackets and hashes mean something else. */
export function withoutCode(markdown: string): string {
  return markdown.replaceAll(FENCED, '').replaceAll(/`[^`\n]*`/g, '');
}

/**
 * The anchors of a Markdown text: those that GitHub makes of headings (lower case, punctuation left out, spaces become
 * hyphens, a number behind one that is there already), and those of `id` and `name` attributes.
 */
export function anchors(markdown: string): Set<string> {
  const found = new Set<string>();
  const text = markdown.replaceAll(FENCED, '');
  for (const [, heading = ''] of text.matchAll(/^#{1,6} +(.+?) *#* *$/gm)) {
    const name = heading
      .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-');
    let anchor = name;
    for (let i = 1; found.has(anchor); i++) anchor = `${name}-${i}`;
    found.add(anchor);
  }
  for (const [, name = ''] of text.matchAll(/<[a-z]+[^>]*\b(?:id|name)="([^"]+)"/g)) found.add(name);
  return found;
}

/** Where the links and pictures of a Markdown text lead to, HTML ones too, as written. */
export function targets(markdown: string): string[] {
  const text = withoutCode(markdown);
  return [
    ...text.matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g),
    ...text.matchAll(/^\[[^\]]+\]:\s*<?([^\s>]+)>?/gm),
    ...text.matchAll(/<[a-z]+[^>]*\b(?:href|src|srcset)="([^"\s]+)/g),
  ].map(([, target = '']) => target);
}
