/** Live objects of an instance that drains while another one serves. */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { expect, test } from 'vitest';
import { live, type LiveObject } from '../../../src/index.ts';
import { type LabInstance, openLab } from '../../../src/testing/index.ts';
import '../../kit/stuck.ts';
import { said } from '../../kit/tool-server.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';

const inputSchema = z.looseObject({ desk: z.string().optional() });
type Args = z.infer<typeof inputSchema>;

const say = async (at: LabInstance, name: string, desk?: string): Promise<string> => {
  const { content } = await at.call(name, { ...(desk && { desk }) });
  return content[0]?.text ?? '';
};

test('a call that arrives while an earlier one claims the object gives nothing back', async () => {
  const opened: string[] = [];
  const store = watchedStore();
  const serverOf = (at: string) => (): McpServer => {
    const server = new McpServer({ name: 'desks', version: '1.0.0' });
    const settings = {
      kind: 'desk',
      id: ({ desk }: Args) => desk,
      open: () => void opened.push(at),
    };
    const tool = live(settings, (_: Args, _ctx: ServerContext, { handle }: LiveObject<void>) =>
      said(handle.id),
    );
    const left = live(
      settings,
      async (_: Args, _ctx: ServerContext, { handle }: LiveObject<void>) => {
        await handle.close();
        return said('');
      },
    );
    server.registerTool('desk', { inputSchema }, tool);
    server.registerTool('leave', { inputSchema }, left);
    return server;
  };
  await using lab = await openLab(serverOf('a'), { store });
  const [a] = await lab.start(1, serverOf('a'));
  await lab.start(1, serverOf('b'));
  const desk = await say(a, 'desk');
  await say(a, 'leave', desk);
  const claimed = gate();
  store.after['handles.claim'] = claimed.hook;
  const first = say(a, 'desk', desk);
  await lab.until(() => claimed.waiting === 1);
  const drained = a.endpoint.drain({ timeoutMs: 60_000 });
  const second = say(a, 'desk', desk);
  await lab.advance(500);
  claimed.open();
  const over = Promise.all([first, second, drained]).then(([one, other]) => [one, other]);
  let results: unknown;
  void over.then((settled) => (results = settled));
  await lab.until(async () => (await lab.advance(100), results !== undefined));
  expect(results).toEqual([desk, desk]);
  expect(opened).toEqual(['a', 'a']);
});
