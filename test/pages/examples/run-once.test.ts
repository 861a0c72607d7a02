// @module-tag matrix
/** The example of `once()`: a payment whose server is killed in the middle. */
import { expect, test } from 'vitest';
import { startExample } from './example-process.ts';

test('examples/run-once charges an order once', async () => {
  const example = startExample('run-once/main.ts');
  expect(await example.ended()).toBe(0);
  const { stdout } = example.output;
  expect(stdout).toMatch(/^first: {2}failed/m);
  expect(stdout.match(/charged 500 cents for o-1/g)).toHaveLength(2);
  expect(stdout).toMatch(/^charges: 1$/m);
});
