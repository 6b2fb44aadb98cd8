/** What all child processes together ran of each file of dist/. */
export class ChildCoverage {
  constructor(folder: string);
  collect(): void;
}

/** Which lines of the sources ran, by file. */
export interface Coverage {
  files(): string[];
  fileCoverageFor(path: string): { toSummary(): { readonly lines: { readonly pct: number } } };
}

export function mapOf(tests: string, children: ChildCoverage): Promise<Coverage>;
