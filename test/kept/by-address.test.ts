/** Callers without a user have a share for each address, on the memory store too. */
import { expect, test } from 'vitest';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { CAPABILITIES, Effects, taskServer } from '../tasks/kit.ts';

test('one address without a user fills its share, and another one is served', async () => {
  const limits = { perUser: { keptBytes: 65_536 } };
  const { client } = await serve(taskServer(new Effects()), { tasks: true, limits });
  const call = { name: 'detaches', arguments: {} };
  const from = async (address: string): Promise<string> => {
    const caller = client({ from: address });
    const { message } = await callModern(caller, 'tools/call', call, { capabilities: CAPABILITIES });
    return JSON.stringify(message);
  };
  let made = 0;
  let last = '';
  while (made < 100 && (last = await from('127.0.0.2')).includes('"taskId"')) made += 1;
  expect(last).toContain('store_full');
  expect(made).toBeGreaterThan(20);
  expect(made).toBeLessThan(64);
  expect(await from('127.0.0.3')).toContain('"taskId"');
});
