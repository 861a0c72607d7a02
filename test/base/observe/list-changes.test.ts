/** Lists that a call changes in memory: gone after a restart, which the log says once per call. */
import { McpServer, Server } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import sessionState from '../../../examples/hooks/session-state.ts';
import type { McpEndpointContext } from '../../../src/index.ts';
import { logNotices } from '../../../src/base/observe/log-lines.ts';
import { Notices } from '../../../src/base/observe/notices.ts';
import { say } from '../../kit/lab.ts';
import { createLog, type Log } from '../../kit/log.ts';
import { callModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';

const info = { name: 'growing', version: '1.0.0' };

/** Its tools change its lists in a call; `later` does so when its call is answered. */
function growing(server: McpServer): McpServer {
  let count = 0;
  server.server.oninitialized = () => {
    server.registerTool(`greeting-${(count += 1)}`, {}, () => said('hello'));
  };
  server.registerResource('book', 'book://1', {}, () => ({ contents: [] }));
  server.registerPrompt('plain', {}, () => ({ messages: [] }));
  const extra = server.registerTool('extra', {}, () => said('extra'));
  server.registerTool('grow', {}, () => {
    server.registerTool(`grown-${(count += 1)}`, {}, () => said('grown'));
    return said('grown');
  });
  server.registerTool('toggle', {}, () => {
    if (extra.enabled) extra.disable();
    else extra.enable();
    return said('toggled');
  });
  server.registerTool('write', {}, async () => {
    await Promise.resolve();
    server.registerResource(`page-${(count += 1)}`, `page://${count}`, {}, () => ({
      contents: [],
    }));
    server.registerPrompt(`prompt-${count}`, {}, () => ({ messages: [] }));
    return said('written');
  });
  server.registerTool('later', {}, () => {
    setTimeout(() => extra.update({ description: `${(count += 1)}` }), 20).unref();
    return said('soon');
  });
  return server;
}

const second = (): McpServer => growing(new McpServer(info));
const makers: Array<[string, () => McpServer]> = [
  ['2', second],
  ['1', () => growing(new McpServerV1(info) as unknown as McpServer)],
];

const warnings = (log: Log): unknown[] =>
  log.matching(/^A call changed a list/).map(({ level, fields }) => [level, fields]);

const isToolsChange = ({ message }: { message?: unknown }): boolean =>
  (message as { method?: string } | undefined)?.method === 'notifications/tools/list_changed';

describe.each(makers)('with SDK %s', (_sdk, make) => {
  test.each([
    ['a factory', () => make],
    ['one definition', make],
  ])(
    'a call that changes a list of %s is one warning per tool, with the list and what to do',
    async (_what, given) => {
      const served = await serve(given());
      for (const client of [await served.openSession(), await served.openSession()]) {
        for (const tool of ['grow', 'toggle', 'write', 'grow', 'toggle', 'write'])
          await say(client, tool);
      }
      expect(warnings(served.log)).toEqual([
        ['warn', { tool: 'grow', list: 'tools' }],
        ['warn', { tool: 'toggle', list: 'tools' }],
        ['warn', { tool: 'write', list: 'resources' }],
      ]);
      const [line] = served.log.matching(/^A call changed a list/);
      expect(line?.message).toMatch(
        /After a restart the change is gone.*session\.state.*a factory/,
      );
    },
  );

  test.each([
    ['a factory', () => make],
    ['one definition', make],
  ])('what %s registers in initialized, or after its call, is no warning', async (_what, given) => {
    const served = await serve(given());
    const one = await served.openSession();
    const stream = await one.get();
    const changes = () => stream.events.filter(isToolsChange);
    const before = changes().length;
    await say(one, 'later');
    await until(() => changes().length > before, { what: 'the change after the call' });
    stream.abort();
    expect(warnings(served.log)).toEqual([]);
  });

  test('a server of one request warns too: the next request does not see the change', async () => {
    const served = await serve(make, { sessionMode: 'stateless' });
    const one = served.client();
    for (let n = 0; n < 2; n++) await say(one, 'grow');
    expect(warnings(served.log)).toEqual([['warn', { tool: 'grow', list: 'tools' }]]);
  });
});

test.each([
  ['a factory', () => second],
  [
    'a factory that passes serverOptions on',
    () => (ctx: McpEndpointContext) => growing(new McpServer(info, ctx.serverOptions)),
  ],
  ['one definition', second],
])('a 2026-07-28 call that changes a list of %s is one warning', async (_what, given) => {
  const served = await serve(given());
  for (let n = 0; n < 2; n++)
    await callModern(served.client(), 'tools/call', { name: 'grow', arguments: {} });
  expect(warnings(served.log)).toEqual([['warn', { tool: 'grow', list: 'tools' }]]);
});

test('a factory that makes its lists from session.state warns of nothing', async () => {
  const served = await serve(sessionState);
  const one = await served.openSession();
  const stream = await one.get();
  await say(one, 'unlock');
  await until(() => stream.events.some(isToolsChange), { what: 'the change' });
  stream.abort();
  expect(warnings(served.log)).toEqual([]);
});

/** `warned`: the calls that change a list which the session does not get back. */
test.each<
  [string, warned: string[], (own: McpEndpointContext['session'], inCall: boolean) => unknown]
>([
  [
    'a factory that reads an empty session.state',
    ['grow'],
    (own, inCall) => (inCall ? undefined : own?.state.get('language')),
  ],
  [
    'a handler that reads session.state in the call',
    ['grow', 'unlock'],
    (own, inCall) => (inCall ? own?.state.update('calls', (before = 0) => before + 1) : undefined),
  ],
])('%s does not make its lists from it: %j', async (_what, warned, reads) => {
  const served = await serve(
    async ({ serverOptions, session: own }: McpEndpointContext): Promise<McpServer> => {
      const server = new McpServer(info, serverOptions);
      await reads(own, false);
      server.registerTool('grow', {}, async () => {
        await reads(own, true);
        server.registerTool('grown', {}, () => said('grown'));
        return said('grown');
      });
      server.registerTool('unlock', {}, async () => {
        await own?.state.set('unlocked', true);
        server.registerTool('unlocked', {}, () => said('unlocked'));
        return said('unlocked');
      });
      return server;
    },
  );
  for (const name of ['grow', 'unlock']) await say(await served.openSession(), name);
  expect(warnings(served.log)).toEqual(
    warned.map((name) => ['warn', { tool: name, list: 'tools' }]),
  );
});

test('a change that the endpoint announces is no warning: every instance has it', async () => {
  let notify = (): void => {};
  const served = await serve(() => {
    const server = new McpServer(info);
    server.registerTool('publish', {}, () => {
      notify();
      return said('published');
    });
    return server;
  });
  notify = () => served.endpoint.notify.toolsChanged();
  await say(await served.openSession(), 'publish');
  expect(warnings(served.log)).toEqual([]);
});

test('names that clients make up are shortened, and 100 calls at most are named', async () => {
  const served = await serve(({ serverOptions }) => {
    const server = new Server(info, {
      ...serverOptions,
      capabilities: { tools: { listChanged: true } },
    });
    server.setRequestHandler('tools/call', async () => {
      await server.sendToolListChanged();
      return said('any');
    });
    return server;
  });
  const client = await served.openSession();
  for (const length of [100_000, 100_001]) await say(client, 'x'.repeat(length));
  expect(warnings(served.log)).toEqual([['warn', { tool: `${'x'.repeat(63)}…`, list: 'tools' }]]);

  const notices = new Notices();
  const log = createLog();
  logNotices(notices, { logger: log, logErrorMessages: false, store: undefined }, {});
  for (let n = 0; n < 1_000; n++)
    notices.emit({ kind: 'listChanged', list: 'tools', method: 'tools/call', target: `tool ${n}` });
  expect(warnings(log).length).toBe(100);
});
