import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cleanup, HOST } from './processes.js';

/** Files of a certificate and its key, behind a link to their folder that can be changed, as Kubernetes does it. */
export class Certificate {
  readonly dir: string;
  #made = 0;

  constructor(cleanup: Cleanup, name: string) {
    this.dir = cleanup.add(mkdtempSync(join(tmpdir(), 'signal-gateway-tls-')), (path) =>
      rmSync(path, { recursive: true }),
    );
    this.replace(name);
  }

  get certFile(): string {
    return join(this.dir, 'current', 'tls.crt');
  }

  get keyFile(): string {
    return join(this.dir, 'current', 'tls.key');
  }

  /** Options of a redis-server that has this certificate, and takes it from its clients. */
  get redisArgs(): string[] {
    const { certFile, keyFile } = this;
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile];
    return [...files, '--tls-auth-clients', 'yes'];
  }

  /** What a gateway needs to speak TLS with such a server. */
  get redisEnv(): Record<string, string> {
    return { REDIS_TLS_CA: this.certFile, REDIS_TLS_CERT: this.certFile, REDIS_TLS_KEY: this.keyFile };
  }

  /** Makes a certificate and key with `openssl` in a folder of their own. */
  make(name: string): string {
    const folder = join(this.dir, String(++this.#made));
    execFileSync('mkdir', [folder]);
    const key = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      join(folder, 'tls.key'),
    ];
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=IP:${HOST},DNS:localhost`];
    execFileSync('openssl', ['req', '-x509', ...key, '-out', join(folder, 'tls.crt'), '-days', '2', ...subject], {
      stdio: 'ignore',
    });
    return folder;
  }

  /** Puts a folder in the place of the one in use. */
  use(folder: string): void {
    const link = join(this.dir, 'next');
    symlinkSync(folder, link);
    renameSync(link, join(this.dir, 'current'));
  }

  /** Makes a new certificate and puts it in place. */
  replace(name: string): void {
    this.use(this.make(name));
  }
}
