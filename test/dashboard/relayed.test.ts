/** Calls that another instance runs, in the figures of the instance that has the client: their names and failures. */
import { expect, test } from 'vitest';
import type { FleetPage } from '../../src/dashboard/wire.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { mount, valueOf } from '../kit/dashboard.ts';
import { serveMember } from '../kit/fleet.ts';
import { tool } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { toolServer } from '../kit/tool-server.ts';
import { cut, mend, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

async function figuresAt(port: number) {
  const { instance, instances } = await valueOf<FleetPage>(port, 'fleet');
  return instances.find(({ id }) => id === instance)?.figures;
}

test('a tool that fails at another instance is counted under its name, and a name that no server has is not', async () => {
  const bad = (): never => {
    throw new Error('no');
  };
  const store = memory();
  const [one, two] = [
    await serve(toolServer({ bad }), { store }),
    await serve(toolServer({ bad }), { store, metrics: true }),
  ];
  const session = await one.openSession();
  const port = await mount(two.endpoint);
  const far = two.client({ of: session });
  for (const name of ['bad', 'invented']) await far.call(...tool(name));
  const names = (await figuresAt(port))?.tools.map(({ name, calls }) => [name, calls]);
  expect(names?.toSorted()).toEqual([
    ['_OTHER', 1],
    ['bad', 1],
  ]);
  expect(two.endpoint.metrics()).toMatch(/gen_ai_tool_name="bad",error_type="tool_error"/);
  expect(two.endpoint.metrics()).not.toContain('invented');
});

test('a call that its instance died with is a failure, with the name of its tool', async () => {
  const connect = sharedStore('sqlite');
  const store = watchedStore({ durable: true, inner: connect() });
  const [a, b] = [
    await serveMember({ store, leaseMs: 1_000, maxWaitMs: 0 }),
    await serveMember({ store: connect(), leaseMs: 1_000 }),
  ];
  const port = await mount(b.endpoint);
  const one = await a.openSession();
  const held = one.call(...tool('hold')).catch(() => {});
  await a.lab.held();
  cut(store);
  await b.join(one).call(...tool('count'));
  expect((await figuresAt(port))?.failures).toMatchObject([
    { tool: 'hold', why: 'owner_lost', times: 1 },
  ]);
  mend(store);
  (await a.lab.held()).answer('late');
  await held;
});
