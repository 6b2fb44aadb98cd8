import { type Histogram, decodeFromCompressedBase64, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import type { FleetReport, GroupCounts, WorkerReport } from './fleet-types.js';
import { emptyHistogram } from './tally.js';

/** One report out of those of all workers. Histograms are added up; percentiles are never averaged. */
export function mergeReports(reports: readonly WorkerReport[]): FleetReport {
  const seconds = mergeSeconds(reports);
  const latency = emptyHistogram();
  for (const second of seconds) latency.add(second);
  const lastBackAt = Math.max(...reports.map((report) => report.lastBackAt));
  const lastAt = reports.reduce((most, { last }) => last.reduce((a, b) => Math.max(a, b), most), 0);
  return {
    ...addCounts(reports.map(({ counts }) => counts)),
    slow: addCounts(reports.map(({ slow }) => slow)),
    ...(lastAt > 0 && { lastAt }),
    ...(lastBackAt > 0 && { lastBackAt }),
    latency: encodeIntoCompressedBase64(latency),
    spread: encodeIntoCompressedBase64(spreads(reports)),
    timeline: seconds.map((second, at) => ({
      at,
      p50: second.getValueAtPercentile(50) / 1000,
      p99: second.getValueAtPercentile(99) / 1000,
      max: second.maxValue / 1000,
      deliveries: second.totalCount,
    })),
    busiestWorkerMillis: Math.max(...reports.map(({ cpuMillis }) => cpuMillis)),
  };
}

/** Latencies of every second, over all workers. */
function mergeSeconds(reports: readonly WorkerReport[]): Histogram[] {
  const begins = reports.map(({ firstDue }) => firstDue).filter((due) => due > 0);
  const begin = Math.min(...begins);
  const merged: Histogram[] = [];
  for (const { firstDue, seconds } of reports) {
    // A worker that never had the first signals began to count later.
    const later = Math.round((firstDue - begin) / 1e6);
    for (const [index, encoded] of seconds.entries()) {
      while (merged.length <= later + index) merged.push(emptyHistogram());
      merged[later + index]?.add(decodeFromCompressedBase64(encoded));
    }
  }
  return merged;
}

/** Per signal the time from the first client of all workers that had it to the last. */
function spreads(reports: readonly WorkerReport[]): Histogram {
  const histogram = emptyHistogram();
  const signals = Math.max(...reports.map(({ first }) => first.length));
  for (let n = 0; n < signals; n++) {
    const firsts = reports.map(({ first }) => first[n] ?? 0).filter((at) => at > 0);
    if (firsts.length === 0) continue;
    const last = Math.max(...reports.map((report) => report.last[n] ?? 0));
    histogram.recordValue(last - Math.min(...firsts));
  }
  return histogram;
}

function addCounts(parts: readonly GroupCounts[]): GroupCounts {
  const sum = (key: keyof GroupCounts): number => parts.reduce((total, part) => total + part[key], 0);
  return {
    clients: sum('clients'),
    expected: sum('expected'),
    received: sum('received'),
    lost: sum('lost'),
    silent: sum('silent'),
    twice: sum('twice'),
    outOfOrder: sum('outOfOrder'),
    dropped: sum('dropped'),
    reconnected: sum('reconnected'),
    recovered: sum('recovered'),
  };
}
