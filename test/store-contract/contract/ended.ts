/** Assertions that hold for every ended session, however it ended. */
import assert from 'node:assert/strict';
import { isEnded, type EndedRecord } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';
import { FENCE, ME, recordOf } from './store-kit.ts';

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
