/** Which lines of the sources ran, by file. */
export interface Coverage {
  files(): string[];
  fileCoverageFor(path: string): { toSummary(): { readonly lines: { readonly pct: number } } };
}

export function collect(tests: string, children: string): Promise<Coverage>;
