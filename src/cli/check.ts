import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { createSecureContext } from 'node:tls';
import { type Config, ConfigError, type Setting, loadConfig, settingsOf } from '../config/config.js';
import { EXIT, messageOf } from '../errors.js';
import { loadUws, uwsVersion } from '../http/uws.js';
import { type Finding, checkRedis } from './redis-check.js';
import { holderOf, tryListen } from './port-check.js';
import { stripControlCharacters, styleFor } from './terminal.js';

/** Options of `check`, as commander reads them. */
export interface CheckOptions {
  readonly json?: boolean;
}

function checkUws(): Finding {
  const name = 'uWebSockets.js';
  try {
    loadUws();
    return { name, ok: true, detail: `${uwsVersion()} loads in Node.js ${process.versions.node}` };
  } catch (error) {
    return { name, ok: false, detail: messageOf(error) };
  }
}

/** Checks that both ports are free, and differ. */
async function checkPorts({ host, port, adminHost, adminPort }: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  const open: Server[] = [];
  const wanted = [
    { name: 'ADMIN_PORT', address: adminHost, number: adminPort },
    { name: 'PORT', address: host, number: port },
  ];
  for (const { name, address, number } of wanted) {
    const where = `${address}:${number}`;
    const got = await tryListen(address, number);
    if (got instanceof Error) {
      const holder = got.code === 'EADDRINUSE' ? holderOf(number) : undefined;
      const why =
        got.code === 'EADDRINUSE' ? `is taken by ${holder ?? 'another process'}` : `cannot be used (${got.code})`;
      findings.push({ name, ok: false, detail: `${where} ${why}. Stop it, or set ${name} to another port.` });
    } else {
      open.push(got);
      findings.push({ name, ok: true, detail: number === 0 ? `a free port on ${address}` : `${where} is free` });
    }
  }
  for (const server of open) {
    server.close();
    await once(server, 'close');
  }
  return findings;
}

function checkCertificate({ certFile, keyFile }: NonNullable<Config['tls']>): Finding {
  const name = 'TLS_CERT';
  try {
    const cert = readFileSync(certFile);
    createSecureContext({ cert, key: readFileSync(keyFile) });
    const { validFrom, validTo } = new X509Certificate(cert);
    const begin = new Date(validFrom);
    const end = new Date(validTo);
    if (begin.getTime() > Date.now()) {
      const detail = `is not valid before ${begin.toISOString()}. Wait, renew it, or correct the clock.`;
      return { name, ok: false, detail };
    }
    if (end.getTime() > Date.now())
      return { name, ok: true, detail: `matches its key and is valid until ${end.toISOString()}` };
    return { name, ok: false, detail: `expired at ${end.toISOString()}. Renew it.` };
  } catch (error) {
    return { name, ok: false, detail: `${messageOf(error)}. Set TLS_CERT and TLS_KEY to files that belong together.` };
  }
}

function write(settings: readonly Setting[], findings: readonly Finding[]): void {
  const style = styleFor(process.stdout);
  const width = Math.max(...settings.map(({ variable }) => variable.length));
  const lines = settings.map(({ variable, value, isDefault }) => {
    const shown = value === undefined ? style('dim', 'unset') : stripControlCharacters(value);
    return `  ${variable.padEnd(width)}  ${shown}${isDefault || value === undefined ? '' : style('dim', '  (set)')}`;
  });
  const results = findings.map(({ name, ok, detail }) => {
    const word = ok ? style('green', 'ok    ') : style('red', 'FAILED');
    return `  ${word}  ${name.padEnd(14)}  ${stripControlCharacters(detail)}`;
  });
  process.stdout.write(`${['Configuration', ...lines, '', 'Checks', ...results].join('\n')}\n`);
}

/**
 * The command `check`: checks everything that a start needs. Sets the exit code.
 *
 * @throws StartError with every problem of the configuration at once
 */
export async function check({ json = false }: CheckOptions): Promise<void> {
  const { env } = process;
  let config: Config;
  try {
    config = loadConfig(env);
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    process.stdout.write(`${JSON.stringify({ ok: false, problems: error.problems })}\n`);
    process.exitCode = error.exitCode;
    return;
  }
  const settings = settingsOf(env);
  const checks = [checkUws(), ...(await checkPorts(config))];
  if (config.tls !== undefined) checks.push(checkCertificate(config.tls));
  if (config.redis === undefined)
    checks.push({ name: 'REDIS_URL', ok: true, detail: 'unset: one pod, journal in memory' });
  else checks.push(...(await checkRedis(config)));
  if (config.jwt !== undefined && 'jwksUrl' in config.jwt.key)
    checks.push({ name: 'JWKS_URL', ok: true, detail: 'not asked for keys yet: the first token does that' });
  const ok = checks.every((finding) => finding.ok);
  if (json) {
    const variables = Object.fromEntries(settings.map(({ variable, value }) => [variable, value ?? null]));
    process.stdout.write(`${JSON.stringify({ ok, variables, checks })}\n`);
  } else write(settings, checks);
  if (!ok) process.exitCode = EXIT.failed;
}
