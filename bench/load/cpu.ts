import { readFileSync } from 'node:fs';

/** Milliseconds of a tick of the kernel's counters: USER_HZ is 100 on every Linux that Node.js runs on. */
const TICK_MILLIS = 10;

/** Processor time of the whole machine since it was started, in milliseconds over all cores. */
export interface MachineTime {
  readonly busy: number;
  readonly total: number;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`Processor times are read from ${path}, which is not there: the bench runs on Linux only.`, {
      cause: error,
    });
  }
}

/**
 * Processor time that a process has used so far, its threads included, in milliseconds; steps of 10.
 *
 * @throws if there is no such process
 */
export function processMillis(pid: number): number {
  // The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it (proc(5)).
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MILLIS;
}

/** Memory of a process that is in RAM, in bytes. */
export function processRss(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
  if (kibibytes === undefined) throw new Error(`Process ${pid} has ended.`);
  return Number(kibibytes) * 1024;
}

/** How much the machine has done so far. Work of other machines on the same host (steal) counts as busy: it is not ours to use. */
export function machineTime(): MachineTime {
  // user nice system idle iowait irq softirq steal; guest times, which follow, are in user and nice already (proc(5)).
  const ticks = (/^cpu +(.*)$/m.exec(read('/proc/stat'))?.[1] ?? '').split(' ').slice(0, 8).map(Number);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { busy: (total - idle) * TICK_MILLIS, total: total * TICK_MILLIS };
}
