import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { type Server, createServer } from 'node:net';

/** The state of a listening socket in `/proc/net/tcp`. */
const LISTENING = '0A';

/**
 * Listens on an address for a moment, to see whether it is free.
 *
 * @returns the server, for the caller to close, or why it cannot listen
 */
export function tryListen(host: string, port: number): Promise<Server | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve).listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

/** The sockets that listen on a port, from `/proc/net/tcp` and `tcp6`. */
function listeners(port: number): Set<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const found = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTENING && local.endsWith(`:${hex}`) && inode !== undefined) found.add(`socket:[${inode}]`);
    }
  }
  return found;
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => sockets.has(readlinkSync(`${folder}/${fd}`)));
  } catch {
    // It has ended, or belongs to another user.
    return false;
  }
}

/**
 * Who listens on a port, as far as this user may know; Linux only.
 *
 * @returns for example `node (process 123)`; never its arguments, which may contain secrets
 */
export function holderOf(port: number): string | undefined {
  try {
    const sockets = listeners(port);
    const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && holds(name, sockets));
    return pid === undefined ? undefined : `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (process ${pid})`;
  } catch {
    return undefined;
  }
}
