/** Assertions that hold for every ended session, however it ended. */
import assert from 'node:assert/strict';
import { isEnded, type EndedRecord } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { FENCE, ME, recordOf } from './store-kit.ts';

/** The clocks of a store and of this process may differ by this much. */
export const CLOCK_SLACK_MS = 2_000;

export function assertNear(ms: number | null | undefined, expected: number, what: string): void {
  assert.ok(typeof ms === 'number' && Math.abs(ms - expected) < CLOCK_SLACK_MS, `${what}: ${ms}, not ${expected}`);
}

export async function readEnded(view: View, id: string): Promise<EndedRecord> {
  const value = await view.records.read(id);
  assert.ok(value !== undefined && isEnded(value), `${id} has not ended`);
  return value;
}

/** No operation brings the session back. */
export async function assertStaysEnded(view: View, id: string): Promise<void> {
  const before = await readEnded(view, id);
  assert.equal(await view.records.create(recordOf(id)), 'exists');
  assert.deepEqual(await view.records.claim(id, FENCE, ME), { claimed: false, current: before });
  assert.equal(await view.records.save(id, FENCE, { head: 'debug' }), 'fenced');
  assert.equal(await view.records.save(id, FENCE, { release: true }), 'fenced');
  assert.equal(await view.records.append({ id, fence: FENCE, stream: 'p', from: 0, events: ['{}'] }), 'fenced');
  assert.deepEqual(await readEnded(view, id), before);
}
