/** Two instances on one store, and tasks whose handlers the test ends. */
import { inputRequired, McpServer, type ServerContext } from '@modelcontextprotocol/server';
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

/** `lose`: the lease of an instance is gone, that of the first one where nothing else is said. */
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
      const annotations = { idempotentHint: true };
      if (!lacks.includes(by)) server.registerTool('hold', { inputSchema, annotations }, task(hold, of));
      const rounds = (given: object, ctx: ServerContext, own: RunningTask) =>
        ctx.mcpReq.inputResponses === undefined
          ? (inputRequired({ inputRequests: { one: inputRequired.elicit(QUESTION) } }) as never)
          : hold(given, ctx, own);
      server.registerTool('rounds', { inputSchema }, task(rounds, of));
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
  const member = async (by: string) => {
    const given = typeof options === 'function' ? options(by) : options;
    const store = watchedStore({ inner, durable: true, inProcess: false });
    const served = await serve(serverOf(by), { tasks: true, leaseMs: 1_000, ...given, store });
    const as = (user: string) => new TaskClient(served.client({ headers: { authorization: `Bearer ${user}` } }));
    return { ...served, client: new TaskClient(served.client()), as, store };
  };
  const [a, b] = [await member('a'), await member('b')];
  const lose = async ({ store, endpoint } = a): Promise<void> => {
    store.before['instances.renew'] = store.before['instances.announce'] = () => {
      throw storeAway('it is a test');
    };
    await store.views[0]?.instances.leave(endpoint.health().instance);
  };
  const find = ({ store } = a): void => {
    delete store.before['instances.renew'];
    delete store.before['instances.announce'];
  };
  const ran = (n: number): Promise<Run> => until(() => runs[n] as Run, { timeoutMs: 20_000, what: `run ${n}` });
  return { a, b, runs, ran, lose, find };
}
