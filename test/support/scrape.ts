import parse from 'parse-prometheus-text-format';
import type { Pod } from './pod.js';

type Labels = Readonly<Record<string, string>>;

/** One scrape of a pod, read by a parser of Prometheus's text format. */
export class Scrape {
  readonly families: readonly parse.Family[];

  private constructor(text: string) {
    this.families = parse(text);
  }

  static async of(pod: Pod): Promise<Scrape> {
    return new Scrape(await (await fetch(`${pod.adminUrl}/metrics`)).text());
  }

  /**
   * The value of a counter or gauge, summed over the label sets that match; of a histogram, its count.
   *
   * @throws when there is no such metric
   */
  value(name: string, labels: Labels = {}): number {
    const family = this.families.find((one) => one.name === name);
    if (family === undefined) throw new Error(`there is no metric ${name}`);
    let sum = 0;
    for (const metric of family.metrics) {
      const matches = Object.entries(labels).every(([key, value]) => metric.labels?.[key] === value);
      if (matches) sum += Number(metric.count ?? metric.value);
    }
    return sum;
  }
}
