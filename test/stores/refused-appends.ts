/** Appends of one turn, one of which the store refuses: it holds `"no"`. */
import { expect } from 'vitest';
import type { View } from '../store-contract/view.ts';
import { FENCE, recordOf } from './views.ts';

/** Those behind it in its stream are fenced, so the stream has no gap; other streams go on. */
export async function expectNoGap(view: View): Promise<void> {
  await view.records.create(recordOf('s'));
  await new Promise((turn) => setImmediate(turn));
  const append = async (from: number, event: string, stream = 'p') =>
    view.records.append({ id: 's', fence: FENCE, stream, from, events: [event] });
  const outcomes = await Promise.allSettled([
    append(0, '"1"'),
    append(1, '"no"'),
    append(2, '"3"'),
    append(0, '"q"', 'q'),
  ]);
  const told = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.status));
  expect(told).toEqual(['written', 'rejected', 'fenced', 'written']);
  expect(await append(1, '"2"')).toBe('written');
  const events = ['"1"', '"2"'].map((data, offset) => ({ offset, data }));
  expect(await view.records.replay('s', 'p', -1)).toEqual({ found: true, events, next: 2, complete: false });
}
