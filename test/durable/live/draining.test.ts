/** Live objects of an instance that drains while another one serves. */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { expect, test } from 'vitest';
import { live, type LiveObject } from '../../../src/index.ts';
import { type LabInstance, openLab } from '../../../src/testing/index.ts';
import { textOf } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import '../../kit/stuck.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
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

test.each(['here', 'there'] as const)(
  'a drain that is too short ends a call at its object with the reason draining, where the client is %s',
  async (where) => {
    const holds = gate();
    const serverOf = (): McpServer => {
      const server = new McpServer({ name: 'desks', version: '1.0.0' });
      const use = live(
        { kind: 'desk', id: ({ desk }: Args) => desk, open: () => ({}) },
        async ({ desk }: Args, _ctx: ServerContext, { handle }: LiveObject) => {
          if (desk !== undefined) await holds.hook();
          return said(handle.id);
        },
      );
      server.registerTool('use', { inputSchema }, use);
      return server;
    };
    const store = watchedStore({ durable: true });
    const [here, there] = [await serve(serverOf, { store }), await serve(serverOf, { store })];
    const use = (args: object) => ['tools/call', { name: 'use', arguments: args }] as const;
    const desk = textOf((await callModern(here.client(), ...use({}))).message);
    const at = where === 'here' ? here : there;
    const session = await at.openSession();
    const calls = [session.call(...use({ desk })), callModern(at.client(), ...use({ desk }))];
    await until(() => holds.waiting === 2);
    await here.endpoint.drain({ timeoutMs: 0 });
    const ended = await Promise.all(calls);
    expect(ended.map(({ message }) => message.error?.data)).toEqual([
      { reason: 'draining', mayHaveRun: true },
      { reason: 'draining', mayHaveRun: true },
    ]);
    holds.open();
  },
);
