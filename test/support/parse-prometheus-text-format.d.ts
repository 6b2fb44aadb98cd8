declare module 'parse-prometheus-text-format' {
  /** A metric with its samples; counters and gauges have a `value` each, as text. */
  interface Family {
    readonly name: string;
    readonly type: string;
    readonly help: string;
    readonly metrics: readonly {
      readonly value?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly count?: string;
      readonly sum?: string;
    }[];
  }
  /** @throws for a line that is not Prometheus's text format */
  export default function parse(text: string): Family[];
}
