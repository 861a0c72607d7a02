// @module-tag matrix
/** The example of tasks: two steps, a kill, and another server. */
import { expect, test } from 'vitest';
import { startExample } from './example-process.ts';

test('examples/tasks continues in its second step at another server', async () => {
  const example = startExample('tasks/client.ts');
  const code = await example.ended();
  expect([code, example.complaints()]).toEqual([0, '']);
  const { stdout } = example.output;
  expect(stdout).toMatch(/^status: working$/m);
  expect(stdout).toContain('rendered frames-of-sea, run 2');
  expect(stdout).toMatch(/^status: completed, film-of-sea$/m);
  expect(stdout).toMatch(/^orders: frames-of-sea, film-of-sea, film-of-sea$/m);
});
