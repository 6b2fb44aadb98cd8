import type { TemplatedApp, us_listen_socket } from 'uWebSockets.js';
import { EXIT, StartError } from '../errors.js';
import type { Uws } from './uws.js';

/** A socket that listens. */
export interface Listener {
  /** The port in use, even if port 0 was asked for. */
  readonly port: number;
  /** Stops listening; open connections stay. May be called twice. */
  close(): void;
}

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** The variable that sets the port, such as `PORT`; the error names it. */
  readonly role: string;
}

/**
 * Listens on an address that nobody else has.
 *
 * @throws {@link StartError} when the port is taken or the address is not this machine's
 */
export function listen(uws: Uws, app: TemplatedApp, { host, port, role }: ListenAddress): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const onListen = (token: us_listen_socket | false): void => {
      if (token === false) {
        reject(
          new StartError(
            `Cannot listen on ${host}:${port} (${role}): the port is taken by another process, or the address is not one ` +
              `of this machine's. Stop the other process or set ${role} to another port.`,
            EXIT.failed,
          ),
        );
        return;
      }
      let open = true;
      resolve({
        port: uws.us_socket_local_port(token),
        close: () => {
          if (open) uws.us_listen_socket_close(token);
          open = false;
        },
      });
    };
    // Without the exclusive flag a second process on the same port would silently take a share of the connections.
    // The typings know the options only together with a port; the module also takes a host before them.
    const { listen: listenOn } = app as unknown as {
      listen: (...args: [host: string, port: number, options: number, done: typeof onListen]) => unknown;
    };
    listenOn.call(
      app,
      host,
      port,
      (uws as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number }).LIBUS_LISTEN_EXCLUSIVE_PORT,
      onListen,
    );
  });
}
