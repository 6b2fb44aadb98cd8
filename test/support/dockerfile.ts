import { execSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Copy, DockerfileParser, type Env, type From } from 'dockerfile-ast';
import { ROOT } from './manifests.js';

/** What an image holds and how it is run, as far as a Dockerfile says. */
export interface Stage {
  /** The name of the image at the bottom, such as `node:22-bookworm-slim`. */
  readonly image: string;
  /** Folder that stands for `/`; it holds nothing but what the Dockerfile put there. */
  readonly root: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  /** As in `USER`; empty is root. */
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly healthcheck: readonly string[];
}

const PATTERNS = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** Whether `.dockerignore` lets a path into the build; the last pattern that matches decides. */
export function isInContext(path: string): boolean {
  let included = true;
  for (const line of PATTERNS) {
    const pattern = line.replace(/^!/, '');
    if (pattern !== '*' && !/^[\w./-]+$/.test(pattern)) throw new Error(`a pattern that is not understood: ${line}`);
    if (pattern === '*' || path === pattern || path.startsWith(`${pattern}/`)) included = line.startsWith('!');
  }
  return included;
}

/**
 * Carries out the project's Dockerfile up to a stage without a container engine: `COPY` copies, `RUN` runs on this machine
 * in the folder that stands for `WORKDIR`, with the programs that are installed here. Stages that the target does not
 * need are left out, as BuildKit does. A plain `npm ci` is not run again: the project's own `node_modules`, which it
 * makes of the same lockfile, takes its place.
 *
 * @param target - name of the stage; the last one if left out
 * @param folder - empty folder for what is built
 * @throws for an instruction or a form of one that it does not know, and when a `RUN` fails
 */
export function build(folder: string, target?: string): Stage {
  const file = DockerfileParser.parse(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
  const instructions = file.getInstructions();
  const args = Object.fromEntries(
    file.getInitialARGs().map((arg) => [arg.getProperty()?.getName(), arg.getProperty()?.getValue() ?? '']),
  ) as Record<string, string>;
  const starts = instructions.flatMap((one, i) => (one.getKeyword() === 'FROM' ? [i] : []));
  const names = starts.map((i) => (instructions[i] as From).getBuildStage());
  const made = new Map<string, Stage>();

  const stage = (name: string): Stage => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const n = names.indexOf(name);
    if (n < 0) throw new Error(`there is no stage ${name}`);
    const from = (instructions[starts[n] ?? 0] as From).getImage() ?? '';
    const image = from.replaceAll(/\$\{(\w+)\}/g, (_, arg: string) => args[arg] ?? '');
    const root = join(folder, name);
    mkdirSync(root);
    let result: Stage = { image, root, workdir: '/', env: {}, user: '', entrypoint: [], healthcheck: [] };
    if (names.includes(image)) {
      const base = stage(image);
      cpSync(base.root, root, { recursive: true, verbatimSymlinks: true });
      result = { ...base, root };
    }
    for (const one of instructions.slice((starts[n] ?? 0) + 1, starts[n + 1])) {
      const text = one.getArgumentsContent() ?? '';
      switch (one.getKeyword()) {
        case 'WORKDIR':
          result = { ...result, workdir: text };
          mkdirSync(join(root, text), { recursive: true });
          break;
        case 'ENV':
          for (const property of (one as Env).getProperties())
            result = { ...result, env: { ...result.env, [property.getName()]: property.getValue() ?? '' } };
          break;
        case 'COPY': {
          const words = (one as Copy).getArguments().map((argument) => argument.getValue());
          copy(words, (one as Copy).getFromFlag()?.getValue() ?? undefined, result);
          break;
        }
        case 'RUN':
          run(text, result);
          break;
        case 'USER':
          result = { ...result, user: text };
          break;
        case 'ENTRYPOINT':
          result = { ...result, entrypoint: JSON.parse(text) as string[] };
          break;
        case 'HEALTHCHECK':
          result = { ...result, healthcheck: JSON.parse(/CMD (\[.*\])$/s.exec(text)?.[1] ?? '') as string[] };
          break;
        case 'ARG':
        case 'EXPOSE':
        case 'LABEL':
          break;
        default:
          throw new Error(`an instruction that is not understood: ${one.getKeyword()}`);
      }
    }
    made.set(name, result);
    return result;
  };

  const copy = (words: readonly string[], from: string | undefined, to: Stage): void => {
    const sources = words.slice(0, -1);
    const destination = words.at(-1) ?? '';
    for (const source of sources) {
      const isFolder = destination.endsWith('/');
      const path = join(to.root, to.workdir, destination, isFolder ? basename(source) : '');
      if (from !== undefined) {
        cpSync(join(stage(from).root, source), path, { recursive: true, verbatimSymlinks: true });
        continue;
      }
      if (!isInContext(source)) throw new Error(`.dockerignore keeps ${source} out of the build`);
      cpSync(join(ROOT, source), path, {
        recursive: true,
        filter: (one) => isInContext(one.slice(ROOT.length)),
      });
    }
  };

  return stage(target ?? names.at(-1) ?? '');
}

/** Runs a command as `RUN` would, with the machine's settings for npm and nothing of the test runner's. */
function run(command: string, { root, workdir, env }: Stage): void {
  if (command === 'npm ci') {
    symlinkSync(join(ROOT, 'node_modules'), join(root, workdir, 'node_modules'));
    return;
  }
  const machine = Object.entries(process.env).filter(
    ([name]) => !/^(?:NODE_ENV|VITEST.*|npm_(?!config_).*)$/.test(name),
  );
  execSync(command, {
    cwd: join(root, workdir),
    env: { ...Object.fromEntries(machine), ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 120_000,
  });
}
