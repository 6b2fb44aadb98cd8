import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { type ConnectionOptions, type PeerCertificate, checkServerIdentity } from 'node:tls';
import type { RedisTarget } from './url.js';

type Access = NonNullable<RedisTarget['access']>;

/** The text of a file, read again when the file is another one. A file that cannot be read any more keeps its last text. */
class KeptFile {
  readonly #path: string;
  #text: string;
  #stamp = '';

  constructor(path: string) {
    this.#path = path;
    this.#text = readFileSync(path, 'utf8');
    this.#stamp = this.#look();
  }

  get text(): string {
    try {
      const stamp = this.#look();
      if (stamp !== this.#stamp) {
        this.#text = readFileSync(this.#path, 'utf8');
        this.#stamp = stamp;
      }
    } catch {
      // Renewed certificates are put in place by removing the old ones first: the old ones do until then.
    }
    return this.#text;
  }

  #look(): string {
    const { mtimeMs, ino, size } = statSync(this.#path);
    return `${mtimeMs} ${ino} ${size}`;
  }
}

/** The host names in `REDIS_URL`. */
function namesIn(target: RedisTarget): string[] {
  const hosts = target.kind === 'single' ? [target.node] : target.kind === 'cluster' ? target.nodes : target.sentinels;
  return hosts.map(({ host }) => host).filter((host) => isIP(host) === 0);
}

/**
 * Checks a certificate against the host that was asked. Sentinels and clusters often name servers by address while their
 * certificates have names: then one for a host in `REDIS_URL` will do, since it proves as much as if that host was asked.
 */
function identityCheck(names: readonly string[]): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (host, certificate) => {
    const fault = checkServerIdentity(host, certificate);
    if (fault === undefined || isIP(host) === 0) return fault;
    return names.some((name) => checkServerIdentity(name, certificate) === undefined) ? undefined : fault;
  };
}

/** How TLS is spoken with the servers and the sentinels of one Redis. Files are read when it is built. */
export class RedisTls {
  readonly #target: RedisTarget;
  readonly #access: Access;
  readonly #files: Readonly<Partial<Record<'ca' | 'cert' | 'key', KeptFile>>>;

  /** @throws Error when a file cannot be read */
  constructor(target: RedisTarget) {
    this.#target = target;
    this.#access = target.access ?? {};
    const { caFile, certFile, keyFile } = this.#access;
    const isUsed = target.tls || this.#access.sentinelTls === true;
    this.#files = {
      ...(isUsed && caFile !== undefined && { ca: new KeptFile(caFile) }),
      ...(isUsed && certFile !== undefined && { cert: new KeptFile(certFile) }),
      ...(isUsed && keyFile !== undefined && { key: new KeptFile(keyFile) }),
    };
  }

  /**
   * For connections to servers; `undefined` without TLS.
   *
   * @param servername - the name that the certificate must be for, if it is not that of the address
   */
  forServers(servername = this.#access.servername): ConnectionOptions | undefined {
    return this.#target.tls ? this.#options(servername) : undefined;
  }

  /** For connections to sentinels; `undefined` without TLS. */
  forSentinels(): ConnectionOptions | undefined {
    return (this.#access.sentinelTls ?? this.#target.tls) ? this.#options(undefined) : undefined;
  }

  #options(servername: string | undefined): ConnectionOptions {
    const { ca, cert, key } = this.#files;
    return {
      checkServerIdentity: identityCheck(namesIn(this.#target)),
      servername,
      // Read at each connection, since ioredis copies what it finds here then.
      get ca() {
        return ca?.text;
      },
      get cert() {
        return cert?.text;
      },
      get key() {
        return key?.text;
      },
    };
  }
}
