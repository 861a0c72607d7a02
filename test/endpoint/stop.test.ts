/**
 * The documented stop: `drain({ stopListening: true })`, then `close()`, in a process that nothing else keeps alive.
 */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRawClient } from '../kit/raw-client.ts';
import { startNode } from '../kit/child-process.ts';
import { sharedTarget, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/stopping-server.mjs');

describe.each(storeKinds)('on %s', (kind) => {
  test('a process that drains and closes ends after its calls and the clean-up of its sessions', async () => {
    const { child, output, closed } = startNode([SERVER, kind, sharedTarget(kind)]);
    const url = await until(() => /^url (\S+)$/m.exec(output.stdout)?.[1] ?? '', { timeoutMs: 20_000 });
    const client = createRawClient(url, { timeoutMs: 20_000 });
    onTestFinished(() => client.close());
    await client.initialize();
    await client.get();
    const call = client.call('tools/call', { name: 'slow', arguments: {} });
    await until(() => output.stdout.includes('running'));
    child.kill('SIGTERM');
    expect((await call).message).toMatchObject({ result: { content: [{ text: 'done' }] } });
    const [code] = await closed;
    expect({ code, stderr: output.stderr }).toEqual({ code: 0, stderr: '' });
    expect(output.stdout.trim().split('\n').slice(2)).toEqual(['cleaned released', 'drained 1 0', 'closed']);
  });
});
