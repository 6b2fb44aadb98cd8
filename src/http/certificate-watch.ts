import { X509Certificate, createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';

/** What there is to know of a certificate. */
export interface CertificateFacts {
  /** When it ends, ms since 1970. */
  readonly notAfter: number;
  /** Names both files' content. */
  readonly digest: string;
}

/** How the files are watched. */
export interface CertificateWatchOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Between two looks, ms. */
  readonly checkInterval: number;
  /** Puts a new certificate into force. */
  readonly renew: () => void;
  readonly onResult: (result: 'renewed' | 'failed') => void;
  readonly log: Logger;
}

/**
 * Looks at the files of a certificate and its key again and again, and puts new ones into force.
 *
 * Their content is compared, not watched for events: Kubernetes and certbot change a link to the folder above them. A
 * pair that does not fit, such as one that is half written, changes nothing.
 */
export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  #facts: CertificateFacts | undefined;
  #refused = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
  }

  /** When the certificate in force ends, ms since 1970. */
  get notAfter(): number {
    return this.#facts?.notAfter ?? 0;
  }

  /**
   * Reads what is in force and begins to look for something newer.
   *
   * @throws when the files are no certificate and its key
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
      void this.#look().finally(() => {
        if (this.#timer !== undefined) this.#plan();
      });
    }, this.#options.checkInterval).unref();
  }

  async #look(): Promise<void> {
    const { log, renew, onResult } = this.#options;
    try {
      const facts = await this.#read();
      if (facts.digest === this.#facts?.digest) return;
      renew();
      this.#facts = facts;
      this.#refused = '';
      onResult('renewed');
      log.info({ notAfter: new Date(facts.notAfter).toISOString() }, 'new clients get the renewed certificate');
    } catch (error) {
      const reason = messageOf(error);
      if (this.#refused === reason) return;
      this.#refused = reason;
      onResult('failed');
      log.error({ reason }, 'the certificate could not be renewed; the one in force stays');
    }
  }

  async #read(): Promise<CertificateFacts> {
    const { certFile, keyFile } = this.#options;
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    // Throws unless they are PEM and belong together.
    createSecureContext({ cert, key });
    return {
      notAfter: Date.parse(new X509Certificate(cert).validTo),
      digest: createHash('sha256').update(cert).update('\0').update(key).digest('hex'),
    };
  }
}
