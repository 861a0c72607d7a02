import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { instanceTests, startInstance, startOpening } from './instances.ts';
import { newFolder, newPath, openView, recordOf } from './sqlite-views.ts';

const at = (target: string) => ({ target, name: 'mcp' });

describe('instances in separate processes', () => {
  // No socket may have a path as long as this.
  instanceTests(async () => at(join(newFolder(), 'n'.repeat(200))));

  test('messages to an instance that reads nothing are refused once it is stuck', async () => {
    const path = newPath();
    const view = await openView(path);
    const instance = await startInstance(at(path), 'a', 600_000);
    instance.process.kill('SIGSTOP');
    const body = 'x'.repeat(10_000_000);
    const send = async (): Promise<unknown> =>
      view.instances.send('me', 'a', { kind: 'call', body });
    await expect(
      (async () => {
        for (let n = 0; n < 12; n++) await send();
      })(),
    ).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/a has not read \d+ bytes/) as string,
    });
  });
});

test('processes that open a new file at once all open it', async () => {
  const path = newPath();
  const all = Array.from({ length: 4 }, () => startOpening([path, 'close']));
  await Promise.all(all.map(({ closed }) => closed));
  expect(all.map(({ output }) => output.stdout)).toEqual(all.map(() => 'opened\n'));
  const view = await openView(path);
  expect(await view.records.create(recordOf('s'))).toBe('created');
});
