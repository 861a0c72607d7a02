// @module-tag matrix
/** Every row of `held.ts` is measured in the heap of a server process, and charged at least 0.8 of what it takes. */
import { expect, test } from 'vitest';
import type { HeldName } from '../../src/limits/held.ts';
import { held, SHAPES } from './rows.ts';

/** A charge may be this much below what is measured. */
const PART = 0.8;

const all = Object.entries(SHAPES).flatMap(([row, shapes]) =>
  Object.entries(shapes).map(([name, shape]) => [row as HeldName, name, shape] as const),
);

test.each(all)('%s: %s are charged no less than they take', { timeout: 120_000 }, async (row, name, shape) => {
  const { taken, charged, own } = await held(row, shape);
  console.log(
    `${row}, ${name}: takes ${Math.round(taken / 1_024)} KiB, is charged ${(charged / taken).toFixed(2)} of that`,
  );
  expect(own).toBeGreaterThan(0);
  expect(charged / taken).toBeGreaterThan(PART);
});
