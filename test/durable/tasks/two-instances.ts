/** Two instances on one store, and tasks whose handlers the test ends. */
import type { ServerContext } from '@modelcontextprotocol/server';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import type { RunningTask, TaskOptions } from '../../../src/durable/tasks/index.ts';
import { serve } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { loseLease, watchedStore } from '../../kit/watched-store.ts';
import { TaskClient, taskTool, text } from './kit.ts';

interface Run {
  readonly by: string;
  readonly own: RunningTask;
  readonly attempt: number;
  answer(of: string): void;
}

/** `lose`: the lease of an instance is gone, that of the first one where nothing else is said. */
export async function openTwo(
  of: TaskOptions<[object, ServerContext]> = { afterCrash: 'run' },
  options: McpEndpointOptions | ((by: string) => McpEndpointOptions) = {},
  lacks: readonly string[] = [],
) {
  const inner = memory();
  const runs: Run[] = [];
  const serverOf = (by: string) => {
    const hold = (_: object, _ctx: ServerContext, own: RunningTask) =>
      new Promise<string>((answer) => runs.push({ by, own, attempt: own.attempt, answer }));
    return toolServer({ other: () => text('other') }, (server) => {
      if (lacks.includes(by)) return;
      const config = { inputSchema: z.object({}), annotations: { idempotentHint: true } };
      server.registerTool('hold', config, taskTool(hold, of) as never);
    });
  };
  const member = async (by: string) => {
    const given = typeof options === 'function' ? options(by) : options;
    const store = watchedStore({ inner, durable: true });
    const served = await serve(serverOf(by), { tasks: true, leaseMs: 1_000, ...given, store });
    const as = (user: string) =>
      new TaskClient(served.client({ headers: { authorization: `Bearer ${user}` } }));
    const from = (address: string) => new TaskClient(served.client({ from: address }));
    return { ...served, client: new TaskClient(served.client()), as, from, store };
  };
  const [a, b] = [await member('a'), await member('b')];
  // Before the instances are closed, which wait for handlers.
  onTestFinished(() => runs.forEach(({ answer }) => answer('the test is over')));
  const lose = ({ store, endpoint } = a) => loseLease(store, endpoint.health().instance);
  const ran = (n: number): Promise<Run> =>
    until(() => runs[n] as Run, { timeoutMs: 20_000, what: `run ${n}` });
  /** The first instance loses its lease; the other one, which is asked for the task, runs it. */
  const takenOver = async (id: string): Promise<Run> => {
    const before = runs.length;
    await lose();
    await until(async () => (await b.client.get(id)) && runs.length > before, {
      timeoutMs: 20_000,
    });
    return ran(before);
  };
  return { a, b, runs, ran, lose, takenOver };
}
