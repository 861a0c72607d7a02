/** Numbers that JSON.parse reads and JSON.stringify does not write are arguments as any other. */
import { expect, test } from 'vitest';
import { once } from '../../src/once/index.ts';
import type { JsonRpcAnswer } from '../kit/raw-client.ts';
import { textOf } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';

test('a call with 1e999, one with -1e999 and one with null under one key are three', async () => {
  const ran: unknown[] = [];
  const pay = async ({ n }: Record<string, unknown>) => {
    ran.push(n);
    return said(`paid ${String(n)}`);
  };
  const { client } = await serve(toolServer({ pay: once(pay, { key: () => 'one' }) }));
  const raw = client();
  await raw.initialize();
  const call = async (n: string): Promise<JsonRpcAnswer> => {
    const params = `{"name":"pay","arguments":{"n":${n}}}`;
    const response = await raw.post(`{"jsonrpc":"2.0","id":${raw.nextId()},"method":"tools/call","params":${params}}`);
    return (await response.nextMessage()) as JsonRpcAnswer;
  };
  expect(textOf(await call('1e999'))).toBe('paid Infinity');
  for (const n of ['-1e999', 'null'])
    expect((await call(n)).error, n).toMatchObject({ code: -32_602, data: { reason: 'once_conflict' } });
  expect(textOf(await call('1e999'))).toBe('paid Infinity');
  expect(ran).toEqual([Infinity]);
});
