/** Callers without a user have a share for each address, on the memory store too. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { envelope, mirrored } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { CAPABILITIES, Effects, taskServer } from '../tasks/kit.ts';

test('one address without a user fills its share, and another one is served', async () => {
  const { port } = await serve(taskServer(new Effects()), { tasks: true, limits: { perUser: { keptBytes: 65_536 } } });
  const call = { name: 'detaches', arguments: {} };
  const from = async (localAddress: string): Promise<string> => {
    const agent = new Agent({ localAddress });
    onTestFinished(() => agent.destroy());
    const accepts = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const headers = { ...accepts, ...mirrored('tools/call', call) } as Record<string, string>;
    const asked = request({ host: '127.0.0.1', port, path: '/mcp', method: 'POST', agent, headers });
    const params = { ...call, _meta: envelope(CAPABILITIES) };
    asked.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }));
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return Buffer.concat(await answer.toArray()).toString();
  };
  let made = 0;
  let last = '';
  while (made < 100 && (last = await from('127.0.0.2')).includes('"taskId"')) made += 1;
  expect(last).toContain('store_full');
  expect(made).toBeGreaterThan(20);
  expect(made).toBeLessThan(64);
  expect(await from('127.0.0.3')).toContain('"taskId"');
});
