/** The parser has no types of its own. */
declare module 'parse-prometheus-text-format' {
  function parse(text: string): parse.Family[];

  namespace parse {
    interface Family {
      readonly name: string;
      readonly help: string;
      readonly type: 'COUNTER' | 'GAUGE' | 'HISTOGRAM' | 'SUMMARY' | 'UNTYPED';
      readonly metrics: readonly Metric[];
    }

    interface Metric {
      readonly labels?: Readonly<Record<string, string>>;
      /** Of a counter or a gauge. */
      readonly value?: string;
      /** The rest: of a histogram. */
      readonly count?: string;
      readonly sum?: string;
      readonly buckets?: Readonly<Record<string, string>>;
    }
  }

  export = parse;
}
