/** One thing that `signal-gateway doctor` found. */
export interface DoctorFinding {
  /** Stable name, for programs. */
  readonly code: string;
  /** `wrong`: something to repair; `note`: worth knowing. */
  readonly level: 'wrong' | 'note';
  /** What was found: a sentence. */
  readonly what: string;
  /** What to do about it: by hand, or what `--repair` does. */
  readonly advice?: string;
  /** What `--repair` does, safely while gateways run. Resolves to what it has done: a sentence. */
  readonly repair?: () => Promise<string>;
}
