/**
 * An instance whose tool `visit` has a live object. It notes in a file when an object opens, when a call begins, before
 * anything is awaited, and when its handler is over. `flood` sends `ms` messages of 5 KB in one turn, and awaits
 * each. `deadly` ends its process.
 *
 *     node live-server.mjs <kind> <target> <file> [leaseMs] [deaths]
 *
 * With `deaths` each call makes the object die by itself, in one of so many calls, within 200 ms; and the file says too
 * when objects open, die and close.
 */
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint, live } from '../../../../dist/index.js';

const [kind, target, file, leaseMs = '1000', deaths = '0'] = process.argv.slice(2);
const note = (...words) => appendFileSync(file, `${words.join(' ')}\n`);
let objects = 0;

const options = {
  kind: 'thing',
  id: ({ thing }) => thing,
  async open(state) {
    await state.get('n');
    return { name: `${process.pid}.${(objects += 1)}`, isNoted: false };
  },
};
if (deaths !== '0')
  Object.assign(options, {
    async open(state) {
      const id = await state.get('id');
      const object = { name: `${process.pid}.${(objects += 1)}`, id, isNoted: true, isDead: false };
      note('opened', id ?? '-', object.name);
      return object;
    },
    isOpen: ({ isDead }) => !isDead,
    async close({ name }) {
      await pause(20);
      note('closed', name);
    },
  });

function mayDie(object) {
  if (deaths === '0' || Math.random() >= 1 / Number(deaths)) return;
  setTimeout(() => {
    if (!object.isDead) note('died', object.name);
    object.isDead = true;
  }, Math.random() * 200).unref();
}
const inputSchema = z.object({ thing: z.string().optional(), call: z.string(), ms: z.number() });

const { [kind]: open } = await import(
  kind === 'sqlite' ? '../../../../dist/stores/sqlite/index.js' : `sojourn-${kind}`
);
const endpoint = createMcpEndpoint(
  () => {
    const server = new McpServer({ name: 'things', version: '1.0.0' });
    for (const name of ['visit', 'peek'])
      server.registerTool(
        name,
        { inputSchema, annotations: { idempotentHint: name === 'peek' } },
        live(options, async ({ call, ms }, _ctx, { object, handle }) => {
          note('began', call);
          if (deaths !== '0') await handle.state.set('id', handle.id);
          mayDie(object);
          if (!object.isNoted) note('open', handle.id, object.name);
          object.isNoted = true;
          await pause(ms);
          const n = await handle.state.update('n', (before = 0) => before + 1);
          note('over', handle.id, object.name, call);
          const text = JSON.stringify({ id: handle.id, object: object.name, n });
          return { content: [{ type: 'text', text }] };
        }),
      );
    server.registerTool(
      'deadly',
      { inputSchema, annotations: { idempotentHint: true } },
      live(options, async ({ call, ms }) => {
        note('began', call);
        await pause(ms);
        process.kill(process.pid, 'SIGKILL');
        return pause(60_000);
      }),
    );
    const flood = async ({ ms }, { mcpReq: { _meta, notify } }) => {
      const { progressToken = 0 } = _meta ?? {};
      for (let progress = 0; progress < ms; progress++) {
        const params = { progressToken, progress, message: `${progress} ${'x'.repeat(5_000)}` };
        await notify({ method: 'notifications/progress', params });
      }
      return { content: [{ type: 'text', text: 'sent' }] };
    };
    server.registerTool('flood', { inputSchema }, live(options, flood));
    server.registerTool('flood_of_session', { inputSchema }, flood);
    return server;
  },
  { store: open(target), leaseMs: Number(leaseMs), logger: false },
);
console.log(`url ${(await endpoint.listen({ port: 0 })).url}`);
const stop = async () => {
  await endpoint.drain({ timeoutMs: 2_000 });
  await endpoint.close();
};
process.once('SIGTERM', () => void stop());
