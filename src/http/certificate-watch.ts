import { X509Certificate, createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';

/** What is known of a certificate. */
export interface CertificateFacts {
  /** When it expires, as Unix time in ms. */
  readonly notAfterMs: number;
  /** SHA-256 of both files. */
  readonly digest: string;
}

/** How the files are watched. */
export interface CertificateWatchOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Time between two checks. */
  readonly checkIntervalMs: number;
  /** Activates a new certificate. */
  readonly renew: () => void;
  readonly onResult: (result: 'renewed' | 'failed') => void;
  readonly log: Logger;
}

/**
 * Checks the files of a certificate and its key at intervals, and activates new ones.
 *
 * Their content is compared and no file is watched for events: Kubernetes and certbot change a link to the folder above
 * them. A pair that does not match, such as one that is half written, changes nothing.
 */
export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  #facts: CertificateFacts | undefined;
  #refused = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
  }

  /** When the active certificate expires, as Unix time in ms; 0 before {@link start}. */
  get notAfterMs(): number {
    return this.#facts?.notAfterMs ?? 0;
  }

  /**
   * Reads the active certificate and starts to check for a newer one.
   *
   * @throws when the files are not a certificate and its key
   */
  async start(): Promise<void> {
    this.#facts = await this.#read();
    this.#plan();
  }

  /** May be called twice. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #plan(): void {
    this.#timer = setTimeout(() => {
      void this.#check().finally(() => {
        if (this.#timer !== undefined) this.#plan();
      });
    }, this.#options.checkIntervalMs).unref();
  }

  async #check(): Promise<void> {
    const { log, renew, onResult } = this.#options;
    try {
      const facts = await this.#read();
      if (facts.digest === this.#facts?.digest) return;
      renew();
      this.#facts = facts;
      this.#refused = '';
      onResult('renewed');
      log.info({ notAfter: new Date(facts.notAfterMs).toISOString() }, 'new clients get the renewed certificate');
    } catch (error) {
      const reason = messageOf(error);
      if (this.#refused === reason) return;
      this.#refused = reason;
      onResult('failed');
      log.error({ reason }, 'the certificate could not be renewed; the old one stays active');
    }
  }

  async #read(): Promise<CertificateFacts> {
    const { certFile, keyFile } = this.#options;
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    // Throws unless they are PEM and belong together.
    createSecureContext({ cert, key });
    return {
      notAfterMs: Date.parse(new X509Certificate(cert).validTo),
      digest: createHash('sha256').update(cert).update('\0').update(key).digest('hex'),
    };
  }
}
