import { type Histogram, decodeFromCompressedBase64 } from 'hdr-histogram-js';

/** A histogram of a result: HdrHistogram V2, compressed, base64; values in µs. */
export function decode(text: string): Histogram {
  return decodeFromCompressedBase64(text);
}

/**
 * The percentile distribution in the text format that HdrHistogram's `plotFiles.html` reads, in ms.
 *
 * @param text - a histogram of a result, in µs
 */
export function hgrmText(text: string): string {
  return decode(text).outputPercentileDistribution(5, 1000);
}

/** One point of a percentile curve. */
export interface PercentilePoint {
  /** 1 / (1 − p): 10 is p90, 1000 is p99.9. */
  readonly inverse: number;
  /** In ms. */
  readonly value: number;
}

const STEPS_PER_DECADE = 16;
const MAX_DECADES = 6;

/**
 * The percentile curve of a histogram. It ends where each further point would be less than one value, because a percentile
 * that no value stands for is an invention.
 */
export function percentileCurve(text: string): PercentilePoint[] {
  const histogram = decode(text);
  const steps = Math.floor(Math.min(MAX_DECADES, Math.log10(Math.max(1, histogram.totalCount))) * STEPS_PER_DECADE);
  return Array.from({ length: steps + 1 }, (_, step) => {
    const inverse = 10 ** (step / STEPS_PER_DECADE);
    return { inverse, value: histogram.getValueAtPercentile(100 - 100 / inverse) / 1000 };
  });
}
