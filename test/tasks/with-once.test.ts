/** A handler that is a task and runs once for each key: in which order, and what a kill in its effect leaves. */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { once } from '../../src/once/index.ts';
import { type RunningTask, task } from '../../src/tasks/index.ts';
import { openLab } from '../../src/testing/index.ts';
import { text } from './kit.ts';

type Order = { readonly id: string };
const KEY = { key: ({ id }: Order) => id, anonymous: 'shared' as const };

test('once() of a task is refused where it is built, with the right order', () => {
  const pay = async (_order: Order, _ctx: ServerContext, _own: RunningTask) => text('paid');
  const build = () => once(task(pay, { resume: true }) as (order: Order) => Promise<unknown>, KEY);
  expect(build).toThrow(TypeError);
  expect(build).toThrow('task(once(');
});

test('a task of once() that is killed in its effect ends with what is known', async () => {
  let began = 0;
  const pay = (_order: Order, _ctx: ServerContext) => {
    began += 1;
    return new Promise<ReturnType<typeof text>>(() => {});
  };
  const serverOf = ({ serverOptions }: McpEndpointContext): McpServer => {
    const server = new McpServer({ name: 'shop', version: '1' }, serverOptions);
    server.registerTool('pay', { inputSchema: z.object({ id: z.string() }) }, task(once(pay, KEY), { resume: true }));
    return server;
  };
  const lab = await openLab(serverOf, { tasks: true });
  onTestFinished(() => lab.close());
  const [a] = await lab.start(2);
  const paying = await a.callTask('pay', { id: 'o-1' });
  await lab.until(() => began === 1);
  await lab.kill(a);
  await lab.pass(5_000);
  await expect(paying.result()).rejects.toMatchObject({ data: { reason: 'owner_lost', mayHaveRun: true } });
  expect(began).toBe(1);
});
