import { fileURLToPath } from 'node:url';
import { Socket as EngineSocket, Transport, uServer } from 'engine.io';
import { Adapter } from 'socket.io-adapter';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { EXIT, StartError } from '../../../src/errors.js';
import { type Uws, loadUws } from '../../../src/http/uws.js';
import { checkInternals, samples } from '../../../src/websocket/check-internals.js';
import { type ByOwner, INTERNALS, type Package } from '../../../src/websocket/engine/internals.js';
import { Child, Cleanup, HOST } from '../../support/processes.js';
import { failedStart } from '../../support/start.js';

const cleanup = new Cleanup();
afterAll(() => cleanup.run());

const uws = loadUws();

/** Undoes what a test has done to the packages. */
let restore = (): void => {};
afterEach(() => restore());

/** Takes a member from an owner, and gives the uWebSockets.js to check then. */
type Break = (name: string) => Uws;

type Method = (this: unknown, ...args: never[]) => unknown;

/** Whether the code that reads a member is the package's own. */
function isReadByPackage(): boolean {
  // This function, the accessor, the reader.
  return /[\\/]node_modules[\\/]/.test(new Error('where').stack?.split('\n')[3] ?? '');
}

/**
 * Gives a member of a class another name, which the whole package knows: what it does stays the same, but nobody outside of
 * it finds the member.
 *
 * @param prototype - the class's; the member may be its own, its base's, or one that its constructor makes
 */
function rename(prototype: object, name: string): void {
  let holder = prototype;
  while (!Object.hasOwn(holder, name) && Object.getPrototypeOf(holder) !== null) {
    holder = Object.getPrototypeOf(holder) as object;
  }
  const former = Object.getOwnPropertyDescriptor(holder, name);
  const place = former === undefined ? prototype : holder;
  const values = new WeakMap<object, unknown>();
  Object.defineProperty(place, name, {
    configurable: true,
    get(this: object): unknown {
      if (!isReadByPackage()) return undefined;
      if (values.has(this)) return values.get(this);
      return former?.get === undefined ? former?.value : (former.get.call(this) as unknown);
    },
    set(this: object, value: unknown) {
      values.set(this, value);
    },
  });
  restore = () => {
    if (former === undefined) Reflect.deleteProperty(place, name);
    else Object.defineProperty(place, name, former);
  };
}

/** Puts another method in the place of one. */
function replace(prototype: object, name: string, by: (former: Method) => Method): void {
  const own = Object.getOwnPropertyDescriptor(prototype, name);
  const former = (prototype as Record<string, Method>)[name] as Method;
  Object.defineProperty(prototype, name, { configurable: true, writable: true, value: by(former) });
  restore = () => {
    if (own === undefined) Reflect.deleteProperty(prototype, name);
    else Object.defineProperty(prototype, name, own);
  };
}

/** A break of a class: its member gets another name. */
function ofClass(make: () => object): Break {
  return (name) => {
    rename(Object.getPrototypeOf(make()) as object, name);
    return uws;
  };
}

const made = samples(uws);

/** How each owner loses a member. */
const BREAKS: ByOwner<Break> = {
  'engine.io': {
    uServer: ofClass(made['engine.io'].uServer),
    PreparedRequest: (name) => {
      replace(
        uServer.prototype,
        'emit',
        (emit) =>
          function (this: unknown, ...[event, error]: never[]) {
            const { req, ...rest } = error as unknown as { req: Record<string, unknown> };
            const { [name]: _lost, ...left } = req;
            return emit.call(this, event as never, { ...rest, req: left } as never);
          },
      );
      return uws;
    },
    WebSocketRoute: (name) => {
      replace(
        uServer.prototype,
        'attach',
        (attach) =>
          function (this: unknown, app: { any(): { ws(...args: unknown[]): void } }) {
            const ws = (path: string, handlers: object): void => app.any().ws(path, { ...handlers, [name]: undefined });
            attach.call(this, { any: () => ({ ws }) } as never);
          },
      );
      return uws;
    },
    Socket: ofClass(made['engine.io'].Socket),
    SocketEvents: (name) => {
      replace(
        EngineSocket.prototype,
        'emit',
        (emit) =>
          function (this: unknown, ...args: never[]) {
            return args[0] !== name && emit.apply(this, args);
          },
      );
      return uws;
    },
    Transport: (name) => {
      rename(Transport.prototype, name);
      return uws;
    },
    Parser: (name) => {
      const parser = made['engine.io'].Parser() as Record<string, unknown>;
      const { [name]: former } = parser;
      Reflect.deleteProperty(parser, name);
      restore = () => {
        parser[name] = former;
      };
      return uws;
    },
    WebSocketTransport: ofClass(made['engine.io'].WebSocketTransport),
  },
  'socket.io': {
    Server: ofClass(made['socket.io'].Server),
    Namespace: ofClass(made['socket.io'].Namespace),
    Socket: ofClass(made['socket.io'].Socket),
    Client: ofClass(made['socket.io'].Client),
  },
  'socket.io-adapter': {
    Rooms: () => {
      replace(
        Adapter.prototype,
        'addAll',
        (addAll) =>
          function (this: unknown, ...args: never[]) {
            if ((args[1] as unknown) instanceof Set) addAll.apply(this, args);
          },
      );
      return uws;
    },
  },
  'uWebSockets.js': {
    App: (name) => ({ ...uws, App: () => ({ close: () => ({ [name]: undefined }) }) as never }),
    Module: (name) => ({ ...uws, [name]: undefined }),
  },
};

const MEMBERS = (Object.keys(INTERNALS) as Package[]).flatMap((name) =>
  Object.entries(INTERNALS[name]).flatMap(([owner, members]) =>
    Object.entries(members).map(([member, kind]) => ({ name, owner, member, kind: kind as string })),
  ),
);

/** What the check says; empty if nothing is missing. */
function complaint(module: Uws): string {
  try {
    checkInternals(module);
    return '';
  } catch (error) {
    if (error instanceof StartError && error.exitCode === EXIT.failed) return error.message;
    throw error;
  }
}

describe('private members of dependencies that the gateway uses', () => {
  test('the installed versions have all of them', () => {
    expect(complaint(uws)).toBe('');
  });

  test.each(MEMBERS)(
    'a release of $name without $owner.$member does not start, and the error names both',
    ({ name, owner, member, kind }) => {
      const breaks: Readonly<Record<string, Break>> = BREAKS[name];
      const said = complaint(breaks[owner]?.(member) ?? uws);
      const [, missing = ''] = /^([^;]+)/.exec(said.slice(said.indexOf(`${name} `))) ?? [];
      expect(missing).toMatch(/^\S+ \d+\.\d+\.\d+ does not have /);
      expect(missing).toContain(`${owner}.${member} (${kind})`);
      expect(said).toMatch(
        /^[^\n]+ Install the versions in package-lock\.json and build again: run "npm ci" and "npm run build"\.$/,
      );
      restore();
      expect(complaint(uws)).toBe('');
    },
  );

  test('a gateway whose engine.io has renamed one of them ends with code 1 and one line that names it', async () => {
    const [main, preload] = ['../../../src/main.ts', '../../support/renamed-member.cjs'].map((path) =>
      fileURLToPath(new URL(path, import.meta.url)),
    );
    const args = ['--require', preload as string, '--import', 'tsx', main as string];
    const child = new Child(process.execPath, args, { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0' });
    const line = await failedStart(cleanup.add(child, (one) => one.kill()));
    expect(line).toMatch(/engine\.io \d+\.\d+\.\d+ does not have uServer\.prepare \(function\)/);
  });
});
