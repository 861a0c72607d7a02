/** The examples of tasks: two steps and a kill, a question and a closed endpoint, a webhook. */
import { expect, test } from 'vitest';
import { startExample } from './example-process.ts';

async function printed(file: string): Promise<string> {
  const example = startExample(`tasks/${file}`);
  const code = await example.ended();
  expect(example.complaints()).toBe('');
  expect(code).toBe(0);
  return example.output.stdout;
}

test('examples/tasks/film.ts continues in its second step at another server', { timeout: 60_000 }, async () => {
  const stdout = await printed('film.ts');
  expect(stdout).toMatch(/^status: working$/m);
  expect(stdout).toContain('rendered frames-of-sea, run 2');
  expect(stdout).toMatch(/^status: completed, film-of-sea$/m);
  expect(stdout).toMatch(/^orders: frames-of-sea, film-of-sea, film-of-sea$/m);
});

test('examples/tasks/booking.ts is answered at another endpoint', { timeout: 60_000 }, async () => {
  const stdout = await printed('booking.ts');
  expect(stdout).toMatch(/^status: input_required, A table for 4\. Sure\?$/m);
  expect(stdout).toMatch(/the endpoint is closed\nbooked for 4$/m);
});

test('examples/tasks/training.ts ends by a webhook that checks who calls it', { timeout: 60_000 }, async () => {
  const stdout = await printed('training.ts');
  expect(stdout).toMatch(/^status: working$/m);
  expect(stdout).toMatch(/^a call of another program: 401$/m);
  expect(stdout).toMatch(/^status: completed, trained m-3$/m);
});
