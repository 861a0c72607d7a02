/** Two instances on one store, and tasks whose handlers the test ends. */
import { McpServer } from '@modelcontextprotocol/server';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { storeAway } from '../../src/errors.ts';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { type RunningTask, task, type TaskOptions } from '../../src/tasks/index.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { TaskClient, text } from './kit.ts';

const QUESTION = { message: 'Sure?', requestedSchema: { type: 'object' as const, properties: {} } };

interface Run {
  readonly by: string;
  readonly own: RunningTask;
  readonly attempt: number;
  answer(of: string): void;
}

/** `lose`: the lease of the first instance is gone. */
export async function openTwo(
  of: TaskOptions = { resume: true },
  options: McpEndpointOptions | ((by: string) => McpEndpointOptions) = {},
  lacks: readonly string[] = [],
) {
  const inner = memory();
  const runs: Run[] = [];
  onTestFinished(() => runs.forEach(({ answer }) => answer('the test is over')));
  const serverOf =
    (by: string) =>
    ({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>) => {
      const server = new McpServer({ name: by, version: '1' }, serverOptions);
      const inputSchema = z.object({});
      const hold = async (_: object, _ctx: unknown, own: RunningTask) =>
        text(
          await new Promise<string>((resolve) => {
            runs.push({ by, own, attempt: own.attempt, answer: resolve });
          }),
        );
      server.registerTool('other', { inputSchema }, () => text('other'));
      if (!lacks.includes(by)) server.registerTool('hold', { inputSchema }, task(hold, of));
      server.registerTool(
        'asks',
        { inputSchema },
        task(
          async (_: object, _ctx: unknown, own: RunningTask) => {
            const answers = await Promise.all([own.elicit('one', QUESTION), own.elicit('two', QUESTION)]);
            runs.push({ by, own, attempt: own.attempt, answer: () => {} });
            return text(answers.map(({ action }) => action).join());
          },
          { resume: true },
        ),
      );
      return server;
    };
  const store = watchedStore({ inner, durable: true, inProcess: false });
  const member = async (by: string, own = watchedStore({ inner, durable: true, inProcess: false })) => {
    const given = typeof options === 'function' ? options(by) : options;
    const served = await serve(serverOf(by), { tasks: true, leaseMs: 1_000, ...given, store: own });
    return { ...served, client: new TaskClient(served.client()), store: own };
  };
  const [a, b] = [await member('a', store), await member('b')];
  const lose = async (): Promise<void> => {
    store.before['instances.renew'] = store.before['instances.announce'] = () => {
      throw storeAway('it is a test');
    };
    await store.views[0]?.instances.leave(a.endpoint.health().instance);
  };
  const find = (): void => {
    delete store.before['instances.renew'];
    delete store.before['instances.announce'];
  };
  const ran = (n: number): Promise<Run> => until(() => runs[n] as Run, { timeoutMs: 20_000, what: `run ${n}` });
  return { a, b, runs, ran, lose, find };
}
