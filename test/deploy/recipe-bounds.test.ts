/** What every recipe bounds: memory, rights, hosts, networks, connections and times. */
import { describe, expect, test } from 'vitest';
import { readSettings } from '../../src/cli/settings.ts';
import { sharesOf } from '../../src/options/heap-shares.ts';
import { recipe, yaml, type Tree } from './recipe-files.ts';

describe('what every recipe bounds', () => {
  const MIB = 2 ** 20;
  const [deployment] = yaml('kubernetes/mcp.yaml') as [Tree];
  const [policy] = yaml('kubernetes/network.yaml') as [Tree];
  const [compose] = yaml('compose/compose.yaml') as [Tree];
  const unit = recipe('../systemd/sojourn.service');
  const pod = deployment.spec.template.spec;
  const [container] = pod.containers;
  const heapIn = (text: string): number => Number(/--max-old-space-size=(\d+)/.exec(text)?.[1]) * MIB;
  const sizeOf = (text: string): number =>
    Number.parseInt(text, 10) * ({ M: MIB, G: 1024 * MIB }[text.replace(/^\d+/, '')[0]?.toUpperCase() ?? ''] ?? NaN);

  test.each([
    ['Kubernetes', JSON.stringify(container.env), container.resources.limits.memory as string],
    ['Compose', compose.services.mcp.environment.NODE_OPTIONS as string, compose.services.mcp.mem_limit as string],
    ['systemd', unit, /^MemoryMax=(.*)$/m.exec(unit)?.[1] ?? ''],
  ])(
    '%s: the memory limit has room for the heap, for what the memory budget holds outside of it, and the rest',
    (_, heap, limit) => {
      expect(heapIn(heap) + sharesOf(heapIn(heap)).memoryBytes + 128 * MIB).toBeLessThanOrEqual(sizeOf(limit));
    },
  );

  test('processes are not root, have no capabilities and cannot write their files', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const [name, service] of Object.entries<Tree>(compose.services)) {
      expect([name, service.read_only, service.cap_drop, service.security_opt]).toEqual([
        name,
        true,
        ['ALL'],
        ['no-new-privileges:true'],
      ]);
      expect([name, service.mem_limit]).toEqual([name, expect.stringMatching(/^\d+m$/)]);
    }
    expect(recipe('app/Dockerfile')).toMatch(/^USER 1000:1000$/m);
    for (const line of ['DynamicUser=yes', 'CapabilityBoundingSet=', 'SystemCallFilter=@system-service'])
      expect(unit.split('\n')).toContain(line);
  });

  test('every deployment names its hosts, and its instances sign with a key where a secret is at hand', () => {
    expect(container.env.find(({ name }: Tree) => name === 'SOJOURN_ALLOWED_HOSTS').value).not.toBe('');
    expect(compose.services.mcp.environment.SOJOURN_ALLOWED_HOSTS).not.toBe('');
    expect(unit).toMatch(/^Environment=SOJOURN_ALLOWED_HOSTS=./m);
    const [secret] = yaml('kubernetes/secret.yaml') as [Tree];
    const { secretKeyRef } = container.env.find(({ name }: Tree) => name === 'SOJOURN_INSTANCE_KEYS').valueFrom;
    const key = secret.stringData[secretKeyRef.key] as string;
    expect(readSettings(new Map(), { SOJOURN_INSTANCE_KEYS: key }).options).toMatchObject({ instanceKeys: [key] });
    expect(Buffer.byteLength(key)).toBeGreaterThanOrEqual(32);
  });

  test('the store is reached by instances alone', () => {
    expect(compose.networks).toEqual({ front: null, back: { internal: true } });
    const members = Object.entries<Tree>(compose.services).map(([name, { networks }]) => [name, networks]);
    expect(Object.fromEntries(members)).toEqual({ mcp: ['front', 'back'], redis: ['back'], nginx: ['front'] });
    expect(compose.services.redis.ports).toBeUndefined();
    expect(policy.kind).toBe('NetworkPolicy');
    expect(policy.spec.podSelector.matchLabels).toEqual(deployment.spec.template.metadata.labels);
    expect(policy.spec.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(policy.spec.ingress[0].ports).toEqual([{ protocol: 'TCP', port: container.ports[0].containerPort }]);
    expect(policy.spec.ingress.map(({ from }: Tree) => from.length)).toEqual([1]);
    // Besides the names' server, only the port of the store is open.
    const [secret] = yaml('kubernetes/secret.yaml') as [Tree];
    const opened = policy.spec.egress.flatMap(({ ports }: Tree) => ports.map(({ port }: Tree) => port));
    expect(opened).toEqual([53, 53, Number(new URL(secret.stringData.url).port)]);
  });
});
