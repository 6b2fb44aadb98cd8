import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IJob } from 'kubernetes-models/batch/v1';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IConfigMap, IPodSpec, IService } from 'kubernetes-models/v1';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.js';
import { CAN_RENDER, type Manifest, ROOT, render, schemaError, unknownFields } from '../support/manifests.js';

const OVERLAYS = readdirSync(join(ROOT, 'k8s/overlays')).map((name) => `overlays/${name}`);
const COMPONENTS = readdirSync(join(ROOT, 'k8s/components'));

/** What an operator can apply: the base, the overlays, each component on each of them, and all components together. */
const RENDERED: ReadonlyMap<string, readonly Manifest[]> = new Map(
  ['base', ...OVERLAYS].flatMap((resource) =>
    [[], ...COMPONENTS.map((name) => [name]), COMPONENTS].map(
      (components) => [[resource, ...components].join(' + '), render(resource, components)] as const,
    ),
  ),
);
const EVERY = [...RENDERED.values()].flat();

/** The object of a kind (and a name) in each rendering that has it. */
function each<T>(kind: string, name?: string): (T & Manifest)[] {
  const found = EVERY.filter((one) => one.kind === kind && (name === undefined || one.metadata.name === name));
  expect(found).not.toEqual([]);
  return found as (T & Manifest)[];
}

/** The pods of every workload. */
function pods(): { readonly name: string; readonly spec: IPodSpec }[] {
  return [...each<IDeployment>('Deployment'), ...each<IJob>('Job')].map((one) => {
    const spec = one.spec?.template.spec;
    if (spec === undefined) throw new Error(`${one.metadata.name} has no pod`);
    return { name: one.metadata.name, spec };
  });
}

/** The Deployment of the gateway in each rendering, with the settings that its pods get. */
function gateways(): { readonly deployment: IDeployment; readonly pod: IPodSpec; readonly settings: Settings }[] {
  return [...RENDERED.values()].map((manifests) => {
    const deployment = manifests.find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'signal-gateway',
    ) as IDeployment | undefined;
    const pod = deployment?.spec?.template.spec;
    if (deployment === undefined || pod === undefined) throw new Error('the gateway is missing');
    const maps = (pod.containers[0]?.envFrom ?? []).map(({ configMapRef }) => configMapRef?.name);
    const settings = manifests
      .filter(({ kind, metadata }) => kind === 'ConfigMap' && maps.includes(metadata.name))
      .map((map) => (map as IConfigMap).data ?? {});
    return { deployment, pod, settings: Object.assign({}, ...settings) as Settings };
  });
}

/** What a rendering consists of. */
function contentsOf(rendering: string): string[] {
  return (RENDERED.get(rendering) ?? []).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
}

type Settings = Readonly<Record<string, string>>;

/** Seconds that a setting gives; it must be in the ConfigMap, where the arithmetic can be seen. */
function seconds(settings: Settings, name: string): number {
  expect(settings).toHaveProperty(name);
  return Number(settings[name]);
}

describe.skipIf(!CAN_RENDER)('k8s/ (needs kubectl 1.25 or kustomize 4.5)', () => {
  test('the base, both overlays and every component render, alone and together', () => {
    expect(OVERLAYS.toSorted()).toEqual(['overlays/dev', 'overlays/prod']);
    expect(COMPONENTS.toSorted()).toEqual(['bench', 'http-route', 'ingress', 'keda', 'monitoring']);
    const before = contentsOf('base');
    const added = COMPONENTS.map((name) => {
      return [name, contentsOf(`base + ${name}`).filter((one) => !before.includes(one))];
    });
    expect(Object.fromEntries(added)).toEqual({
      bench: ['Job signal-gateway-bench'],
      'http-route': ['HTTPRoute signal-gateway'],
      ingress: ['Ingress signal-gateway'],
      keda: ['ScaledObject signal-gateway'],
      monitoring: ['ConfigMap signal-gateway-dashboard', 'PodMonitor signal-gateway', 'PrometheusRule signal-gateway'],
    });
  });

  test('an overlay has its whole self, what components add included, in one namespace', () => {
    const namespaces = new Map([
      ['dev', 'signal-gateway-dev'],
      ['prod', 'signal-gateway'],
    ]);
    for (const [name, manifests] of RENDERED) {
      const namespace = namespaces.get(/^overlays\/(\w+)/.exec(name)?.[1] ?? '');
      const own = manifests.filter(({ kind }) => kind !== 'Namespace').map(({ metadata }) => metadata.namespace);
      expect([name, ...new Set(own)]).toEqual([name, namespace]);
    }
  });

  test('every object is right by the schema of its kind', async () => {
    const distinct = [...new Map(EVERY.map((one) => [JSON.stringify(one), one])).values()];
    const errors = await Promise.all(
      distinct.map(async (one) => [one.kind, one.metadata.name, await schemaError(one)] as const),
    );
    expect(errors.filter(([, , error]) => error !== undefined)).toEqual([]);
  });

  test('no object has a field that Kubernetes does not know', () => {
    const distinct = [...new Map(EVERY.map((one) => [JSON.stringify(one), one])).values()];
    expect(unknownFields(distinct)).toEqual([]);
  });

  test('the check of objects finds a missing field, a wrong type, and a field misspelt at any depth', async () => {
    const [deployment] = each<IDeployment>('Deployment', 'signal-gateway').map((one) => structuredClone(one));
    const [policy] = each<INetworkPolicy>('NetworkPolicy').map((one) => structuredClone(one));
    const [monitor] = each<{ spec: Record<string, unknown> }>('PodMonitor').map((one) => structuredClone(one));
    if (deployment?.spec === undefined || policy === undefined || monitor === undefined) throw new Error('not there');

    const without = structuredClone(deployment);
    delete (without.spec as Partial<typeof deployment.spec>).selector;
    expect(await schemaError(without)).toContain('selector');
    const wrong = structuredClone(deployment);
    Object.assign(wrong.spec ?? {}, { minReadySeconds: 'soon' });
    expect(await schemaError(wrong)).toContain('minReadySeconds');

    Object.assign(deployment.spec.template.spec?.containers[0]?.readinessProbe ?? {}, { periodSecond: 2 });
    Object.assign(policy.spec?.egress?.[0] ?? {}, { port: [] });
    Object.assign(monitor.spec, { selectors: {} });
    const found = unknownFields([deployment, policy, monitor]);
    expect(found).toHaveLength(3);
    for (const [i, field] of ['periodSecond', 'port', 'selectors'].entries())
      expect(found[i]).toContain(`'"${field}"'`);
  });

  test('every pod passes the restricted Pod Security Standard and changes nothing of its image', () => {
    const wrong = pods().filter(({ spec }) => {
      const { securityContext: pod } = spec;
      const isPodRight =
        pod?.runAsNonRoot === true &&
        (pod.runAsUser ?? 0) > 0 &&
        pod.seccompProfile?.type === 'RuntimeDefault' &&
        spec.automountServiceAccountToken === false &&
        [spec.hostNetwork, spec.hostPID, spec.hostIPC].every((shared) => shared !== true) &&
        // The kinds of volume that the standard allows are more; these are the ones used.
        (spec.volumes ?? []).every((volume) => volume.emptyDir !== undefined || volume.configMap !== undefined);
      const isContainerRight = [...spec.containers, ...(spec.initContainers ?? [])].every(
        ({ securityContext: own, ports }) =>
          own?.allowPrivilegeEscalation === false &&
          own.readOnlyRootFilesystem === true &&
          own.capabilities?.drop?.includes('ALL') === true &&
          own.capabilities.add === undefined &&
          own.privileged !== true &&
          (own.runAsUser ?? 1) > 0 &&
          (ports ?? []).every(({ hostPort }) => hostPort === undefined),
      );
      return !isPodRight || !isContainerRight;
    });
    expect(wrong).toEqual([]);
    for (const { metadata } of each('Namespace')) {
      expect(metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
    }
  });

  test('every container asks for what it needs, is limited in memory, and never in processor time', () => {
    for (const { name, spec } of pods()) {
      for (const { resources } of spec.containers) {
        const kinds = {
          requests: Object.keys(resources?.requests ?? {}),
          limits: Object.keys(resources?.limits ?? {}),
        };
        expect({ name, ...kinds }).toEqual({ name, requests: ['cpu', 'memory'], limits: ['memory'] });
      }
    }
  });

  test('a rolling update adds a pod before it removes one, and waits until the last one has disconnected its clients', () => {
    for (const { deployment, settings } of gateways()) {
      expect(deployment.spec?.strategy?.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
      const drain = seconds(settings, 'DRAIN_DELAY_SECONDS') + seconds(settings, 'DRAIN_SECONDS');
      expect(deployment.spec?.minReadySeconds).toBeGreaterThanOrEqual(drain);
    }
  });

  test('the grace period is longer than preStop, the wait for the endpoints and the drain, by 10 seconds and more', () => {
    for (const { pod, settings } of gateways()) {
      // What a hook takes can only be read off it where it sleeps.
      const hook = pod.containers[0]?.lifecycle?.preStop ?? { sleep: { seconds: 0 } };
      expect(Object.keys(hook)).toEqual(['sleep']);
      const drain = seconds(settings, 'DRAIN_DELAY_SECONDS') + seconds(settings, 'DRAIN_SECONDS');
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual((hook.sleep?.seconds ?? Infinity) + drain + 10);
    }
  });

  test('a pod that is asked to go is out of the endpoints before it stops taking clients', () => {
    for (const { pod, settings } of gateways()) {
      const probe = pod.containers[0]?.readinessProbe;
      expect(probe?.httpGet).toEqual({ path: '/readyz', port: 'admin' });
      // A deleted pod leaves at once; this holds for one that got its SIGTERM from elsewhere, too.
      const notices = (probe?.periodSeconds ?? 10) * (probe?.failureThreshold ?? 3);
      expect(seconds(settings, 'DRAIN_DELAY_SECONDS')).toBeGreaterThanOrEqual(notices);
    }
  });

  test('liveness and start-up ask whether the event loop turns, and never look at Redis', () => {
    for (const { pod } of gateways()) {
      const [{ livenessProbe, startupProbe } = {}] = pod.containers;
      expect(livenessProbe?.httpGet).toEqual({ path: '/healthz', port: 'admin' });
      expect(startupProbe?.httpGet).toEqual({ path: '/healthz', port: 'admin' });
    }
  });

  test('the gateway takes every setting that the manifests give it, and has no other', () => {
    const source = readFileSync(join(ROOT, 'src/config/variables.ts'), 'utf8');
    const known = [...source.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name);
    for (const { pod, settings } of gateways()) {
      const secrets = (pod.containers[0]?.env ?? []).map(({ name }) => name);
      // Read by Node.js itself.
      const names = [...Object.keys(settings), ...secrets].filter((name) => name !== 'NODE_EXTRA_CA_CERTS');
      expect(names.filter((name) => !known.includes(name))).toEqual([]);
      expect(() => loadConfig(settings)).not.toThrow();
      // The kubelet and Prometheus are not on the pod's own loopback.
      expect(settings['ADMIN_HOST']).toBe('0.0.0.0');
    }
  });

  test('Redis and the keys come from a Secret by reference, and only the development overlay makes one', () => {
    for (const [name, manifests] of RENDERED) {
      const secrets = manifests.filter(({ kind }) => kind === 'Secret');
      expect([name, secrets.length]).toEqual([name, name.startsWith('overlays/dev') ? 1 : 0]);
    }
    for (const { pod } of gateways()) {
      for (const { value, valueFrom } of pod.containers[0]?.env ?? []) {
        expect(value).toBeUndefined();
        expect(valueFrom?.secretKeyRef?.name).toMatch(/^signal-gateway/);
      }
    }
  });

  test('one autoscaler has the number of pods, is quick to add and slow to take away', () => {
    for (const [name, manifests] of RENDERED) {
      const scalers = manifests.filter(({ kind }) => ['HorizontalPodAutoscaler', 'ScaledObject'].includes(kind));
      const isKeda = name.includes('keda');
      expect([name, ...scalers.map(({ kind }) => kind)]).toEqual([
        name,
        isKeda ? 'ScaledObject' : 'HorizontalPodAutoscaler',
      ]);
    }
    for (const { deployment } of gateways()) expect(deployment.spec).not.toHaveProperty('replicas');
    type Behavior = NonNullable<IHorizontalPodAutoscaler['spec']>['behavior'];
    const behaviors = [
      ...each<IHorizontalPodAutoscaler>('HorizontalPodAutoscaler').map(({ spec }) => spec?.behavior),
      ...each<{ spec: { advanced: { horizontalPodAutoscalerConfig: { behavior: Behavior } } } }>('ScaledObject').map(
        ({ spec }) => spec.advanced.horizontalPodAutoscalerConfig.behavior,
      ),
    ];
    for (const behavior of behaviors) {
      expect(behavior?.scaleUp?.stabilizationWindowSeconds).toBe(0);
      expect(behavior?.scaleDown?.stabilizationWindowSeconds).toBeGreaterThanOrEqual(600);
      expect(behavior?.scaleDown?.policies).toEqual([{ type: 'Pods', value: 1, periodSeconds: 300 }]);
    }
  });

  test('an autoscaler that cannot ask for the number of clients removes no pod', () => {
    type Scaled = { spec: { triggers: { type: string; metadata: object }[] } };
    for (const { spec } of each<Scaled>('ScaledObject')) {
      // A fallback would be the exact number of pods, however many there are; no clients and no answer would be one.
      expect(spec).not.toHaveProperty('fallback');
      const [query] = spec.triggers.filter(({ type }) => type === 'prometheus');
      expect(query?.metadata).toMatchObject({ ignoreNullValues: 'false' });
    }
  });

  test('services, budget and policies choose the pods they are meant for, by ports that these have', () => {
    for (const manifests of RENDERED.values()) {
      const workloads = manifests
        .filter(({ kind }) => kind === 'Deployment')
        .map((one) => (one as IDeployment).spec?.template);
      const chosen = (selector: Readonly<Record<string, string>> | undefined): typeof workloads =>
        workloads.filter((pod) =>
          Object.entries(selector ?? {}).every(([key, value]) => pod?.metadata?.labels?.[key] === value),
        );
      for (const service of manifests.filter(({ kind }) => kind === 'Service') as (IService & Manifest)[]) {
        const [pod, ...others] = chosen(service.spec?.selector);
        expect(others).toEqual([]);
        const ports = pod?.spec?.containers.flatMap(({ ports: own }) => own ?? []).map(({ name }) => name);
        for (const { targetPort } of service.spec?.ports ?? []) expect(ports).toContain(targetPort);
      }
      const lost: string[] = [];
      for (const { kind, metadata, spec } of manifests as (Manifest & { spec: Selecting })[]) {
        const selector = { NetworkPolicy: spec?.podSelector, PodDisruptionBudget: spec?.selector }[kind];
        if (selector !== undefined && chosen(selector.matchLabels).length !== 1) lost.push(`${kind} ${metadata.name}`);
      }
      expect(lost).toEqual([]);
    }
  });

  type Selecting = Readonly<
    Record<'podSelector' | 'selector', { matchLabels: Readonly<Record<string, string>> } | undefined>
  >;

  test('the admin port is open to monitoring and to labelled back ends alone, and no route leads to it', () => {
    for (const { spec } of each<INetworkPolicy>('NetworkPolicy', 'signal-gateway')) {
      expect(spec?.policyTypes).toEqual(['Ingress', 'Egress']);
      const [clients, admin, ...others] = spec?.ingress ?? [];
      expect(others).toEqual([]);
      expect(clients).toEqual({ ports: [{ port: 'public' }] });
      expect(admin?.ports).toEqual([{ port: 'admin' }]);
      expect(admin?.from).toEqual([
        { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
        { podSelector: { matchLabels: { 'signal-gateway/publisher': 'true' } } },
      ]);
    }
    const routes = EVERY.filter(({ kind }) => ['Ingress', 'HTTPRoute'].includes(kind));
    expect(routes.length).toBeGreaterThan(0);
    for (const route of routes) expect(JSON.stringify(route)).not.toMatch(/admin|3001/);
    for (const { spec } of each<IService>('Service')) expect(spec?.type ?? 'ClusterIP').toBe('ClusterIP');
  });

  test('the gateway itself reaches nothing but DNS and its Redis', () => {
    for (const [name, manifests] of RENDERED) {
      const policy = manifests.find(
        ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'signal-gateway',
      ) as INetworkPolicy | undefined;
      const ports = (policy?.spec?.egress ?? []).map((rule) => {
        expect(rule.to).toHaveLength(1);
        return (rule.ports ?? []).map(({ port, protocol = 'TCP' }) => `${protocol} ${port}`);
      });
      const redis = name.startsWith('overlays/prod') ? 'TCP 6380' : 'TCP 6379';
      expect([name, ports]).toEqual([name, [['UDP 53', 'TCP 53'], [redis]]]);
    }
  });

  test('in production losing a node or a zone costs one share of the clients', () => {
    const [production] = gateways().filter(({ settings }) => settings['NODE_EXTRA_CA_CERTS'] !== undefined);
    expect(production?.pod.topologySpreadConstraints).toMatchObject([
      { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' },
      { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
    ]);
    // Nodes that no pod may go to must not count as empty ones.
    for (const { nodeTaintsPolicy } of production?.pod.topologySpreadConstraints ?? []) {
      expect(nodeTaintsPolicy).toBe('Honor');
    }
  });
});
