import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments, stringify } from 'yaml';

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** An object of Kubernetes, as far as every one is alike. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** Runs a body with a new folder, and removes it. */
function withFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-k8s-'));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Whichever renderer is there, if any: kubectl 1.25 or newer has kustomize 4.5 in it. */
const RENDERER = (
  [
    ['kubectl', 'kustomize'],
    ['kustomize', 'build'],
  ] as const
).find(([command]) => spawnSync(command, ['version']).error === undefined);

/** Whether there is one; tests of what `k8s/` renders to are skipped where there is none. */
export const CAN_RENDER = RENDERER !== undefined;

/**
 * Renders a base or an overlay of `k8s/` that names components, as an operator would: `kubectl kustomize`.
 *
 * @param resource - folder below `k8s/`
 * @param components - names below `k8s/components/`
 * @returns nothing where there is no renderer
 */
export function render(resource: string, components: readonly string[] = []): Manifest[] {
  if (RENDERER === undefined) return [];
  const [command, ...args] = RENDERER;
  return withFolder((folder) => {
    cpSync(join(ROOT, 'k8s'), folder, { recursive: true });
    const target = join(folder, resource);
    const path = join(target, 'kustomization.yaml');
    const own = parse(readFileSync(path, 'utf8')) as object;
    const named = components.map((name) => relative(target, join(folder, 'components', name)));
    writeFileSync(path, stringify({ ...own, components: named }));
    const text = execFileSync(command, [...args, target], { encoding: 'utf8', timeout: 20_000 });
    return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  });
}

/** The packages that hold the schemas of what Kubernetes itself does not know. */
const CUSTOM: Readonly<Record<string, string>> = {
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

/** The module with the model and the types of an API version, such as `kubernetes-models/apps/v1`. */
function moduleOf(apiVersion: string): string {
  return `${CUSTOM[apiVersion.split('/')[0] ?? ''] ?? 'kubernetes-models'}/${apiVersion}`;
}

/** What is wrong with an object by the schema of its kind: types, patterns, what is missing; `undefined` if it is right. */
export async function schemaError(manifest: Manifest): Promise<string | undefined> {
  type Models = Record<string, new (data: Manifest) => { validate(): void }>;
  const models = (await import(moduleOf(manifest.apiVersion))) as Models;
  const Model = models[manifest.kind];
  if (Model === undefined) return `${manifest.apiVersion} has no kind ${manifest.kind}`;
  try {
    new Model(manifest).validate();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

/**
 * The fields that no schema knows, which the validators let pass. The types are made from the same schemas, and the
 * TypeScript compiler refuses a literal with a property that its type has not.
 *
 * @returns the compiler's lines; empty if every field of every object is known
 */
export function unknownFields(manifests: readonly Manifest[]): string[] {
  return withFolder((folder) => {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const lines = manifests.map(
      (manifest, i) =>
        `export const o${i}: import('${moduleOf(manifest.apiVersion)}').I${manifest.kind} = ${JSON.stringify(manifest, undefined, 1)};`,
    );
    writeFileSync(join(folder, 'manifests.ts'), lines.join('\n'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', '', 'manifests.ts'];
    const { stdout, status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), flags, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
    });
    const errors = stdout.split('\n').filter((line) => line !== '');
    if (status !== 0 && errors.length === 0) throw new Error(`the compiler ended with ${status}`);
    return errors;
  });
}
