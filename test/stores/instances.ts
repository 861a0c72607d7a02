/** Instances in separate processes, and how every store handles their deaths. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { View } from './contract/view.ts';
import { openView } from './views.ts';
import { startNode } from '../kit/child-process.ts';
import { compiled } from '../kit/compiled.ts';
import { until } from '../kit/until.ts';

const INSTANCE = compiled(join(import.meta.dirname, 'processes/instance.ts'));
const OPENS = compiled(join(import.meta.dirname, 'processes/opens.ts'));
/** Longer than a busy machine takes from the last renewal to a read. */
const SHORT_LEASE_MS = 2_000;
const LONG_LEASE_MS = 600_000;
const PATIENCE = { timeoutMs: 30_000 };

/** A deployment of one test. */
export interface Deployment {
  /** The path or URL that its processes open. */
  readonly target: string;
  readonly name: string;
}

const openOn = ({ target, name }: Deployment): Promise<View> =>
  openView(target, { deployment: name });

/** A process that opens a store, uses it, and ends. */
export const startOpening = (args: readonly string[], user: Parameters<typeof startNode>[1] = {}) =>
  startNode([OPENS, ...args], user);

/** `lines`: what it has received. */
export async function startInstance(
  { target, name }: Deployment,
  id: string,
  leaseMs = LONG_LEASE_MS,
) {
  const { child, output, says, stop } = startNode([INSTANCE, target, name, id, String(leaseMs)]);
  await says(/^(ready)$/m);
  return {
    process: child,
    lines: () => output.stdout.split('\n').slice(1, -1),
    kill: () => stop('SIGKILL'),
  };
}

/** What the relay does with a suspect instance: it buries the lease if it is unchanged. */
async function buryIfSuspect(view: View, id: string): Promise<boolean> {
  const lease = await view.instances.read(id);
  if (lease === undefined || (await view.instances.send('me', id, { kind: 'probe' })) !== 'suspect')
    return false;
  return view.instances.bury(lease);
}

export function instanceTests(deploy: () => Promise<Deployment>): void {
  test('a killed instance is suspect; after an early burial its sessions can be claimed', async () => {
    const deployment = await deploy();
    const view = await openOn(deployment);
    const instance = await startInstance(deployment, 'a');
    expect(await view.instances.send('me', 'a', { kind: 'call' })).toBe('sent');
    await until(() => instance.lines().length === 1, PATIENCE);
    await instance.kill();
    expect(await view.instances.read('a')).toMatchObject({ id: 'a' });
    await until(() => buryIfSuspect(view, 'a'), PATIENCE);
    expect(await view.instances.read('a')).toBeUndefined();
    const from = { epoch: 1, owner: 'a' };
    expect(await view.records.claim('session-of-a', from, 'me')).toMatchObject({ claimed: true });
  });

  test('a frozen instance is not suspect; its lease expires, and it stays dead after the thaw', async () => {
    const deployment = await deploy();
    const view = await openOn(deployment);
    const instance = await startInstance(deployment, 'a', SHORT_LEASE_MS);
    instance.process.kill('SIGSTOP');
    expect(await view.instances.send('me', 'a', { kind: 'call' })).toBe('sent');
    expect(await view.instances.read('a')).toMatchObject({ id: 'a' });
    await until(async () => (await view.instances.read('a')) === undefined, PATIENCE);
    const from = { epoch: 1, owner: 'a' };
    expect(await view.records.claim('session-of-a', from, 'me')).toMatchObject({ claimed: true });
    instance.process.kill('SIGCONT');
    await until(() => instance.lines().includes('dead'), PATIENCE);
  });
}
