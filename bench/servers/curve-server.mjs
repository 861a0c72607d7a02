import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const annotations = { readOnlyHint: true };

/** The tools of the curves. `of`: the exports of the build. */
export function buildCurveServer({ openHandle, listHandles, once, task }) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' });
  const tool = (name, inputSchema, run) =>
    server.registerTool(
      name,
      { description: 'A tool of the bench', inputSchema: z.object(inputSchema), annotations },
      run,
    );
  tool('echo', { text: z.string() }, ({ text: given }) => text(given));
  tool('make', {}, async () => text((await openHandle('cart', undefined, {})).id));
  tool('open', { id: z.string() }, async ({ id }) => text((await openHandle('cart', id)).id));
  tool('list', {}, async () => text((await listHandles('cart')).length));
  let keys = 0;
  const key = () => `k${(keys += 1)}`;
  tool(
    'once',
    {},
    once(() => text(keys), { key }),
  );
  tool(
    'job',
    {},
    task(() => text('done'), { when: 'required', afterCrash: 'run' }),
  );
  for (let n = 1; n < Number(process.env.BENCH_TOOLS ?? '1'); n++)
    tool(`echo-${n}`, { text: z.string() }, ({ text: given }) => text(given));
  return server;
}
