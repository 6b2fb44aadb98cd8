import { expect } from 'vitest';
import { MAIN } from './pod.js';
import { Child, type Cleanup, HOST } from './processes.js';

/** Starts a gateway that may not come up; ports are free ones unless the environment says otherwise. */
export function startGateway(
  cleanup: Cleanup,
  env: Readonly<Record<string, string>> = {},
  nodeArgs: readonly string[] = [],
): Child {
  const all = { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0', DRAIN_DELAY_SECONDS: '0', ...env };
  return cleanup.add(new Child(process.execPath, [...nodeArgs, MAIN], all), (child) => child.kill());
}

/** Waits for a start to fail and checks that it says why in one line, without a stack trace. Returns the line. */
export async function failedStart(child: Child): Promise<string> {
  expect(await child.exit).toBe(1);
  expect(child.stderr).toMatch(/^[^\n]+\n$/);
  expect(child.stderr).not.toMatch(/\bat .*:\d+:\d+/);
  expectJsonLines(child.stdout);
  return child.stderr.trimEnd();
}

/** Checks that a text is nothing but whole lines of JSON objects, each with a level, a time and a message. */
export function expectJsonLines(text: string): void {
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  for (const line of lines) {
    const entry: unknown = JSON.parse(line);
    expect(entry).toMatchObject({
      level: expect.any(Number) as number,
      time: expect.any(String) as string,
      pod: expect.any(String) as string,
      msg: expect.any(String) as string,
    });
  }
}
