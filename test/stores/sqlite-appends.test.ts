import { describe, expect, test } from 'vitest';
import type { AppendRequest } from '../../src/stores/store.ts';
import { openStreams, type View } from '../store-contract/view.ts';
import { FENCE, newPath, openView, recordOf } from './sqlite-views.ts';

type Append = AppendRequest & { readonly stream: string; readonly events: readonly string[] };

const whole = (id: string, stream: string, more: Partial<Append> = {}): Append => ({
  id,
  fence: FENCE,
  stream,
  from: 0,
  events: ['', `"${id} ${stream}"`],
  complete: true,
  ...more,
});

/** The newest events that fit, back to the first that does not. */
function keptOf<E extends { data: string }>(all: readonly E[], retention: { events: number; bytes: number }): E[] {
  const kept: E[] = [];
  let bytes = 0;
  for (const event of all.toReversed()) {
    bytes += event.data.length;
    if (kept.length === retention.events || bytes > retention.bytes) break;
    kept.unshift(event);
  }
  return kept;
}

describe('streams that begin and end in one turn', () => {
  test('are stored in any number and for any sessions', async () => {
    const view = await openView(newPath());
    const sessions = ['a', 'b', 'c'];
    await Promise.all(sessions.map(async (id) => view.records.create(recordOf(id))));
    const appends = Array.from({ length: 50 }, (_, n) => whole(sessions[n % 3] ?? '', `p1x${n.toString(36)}`));
    const outcomes = await Promise.all(appends.map(async (append) => view.records.append(append)));
    expect(new Set(outcomes)).toEqual(new Set(['written']));
    for (const { id, stream, events } of appends) {
      const logged = events.map((data, offset) => ({ offset, data }));
      const found = { found: true, events: logged, next: 2, complete: true };
      expect(await view.records.replay(id, stream, -1)).toEqual(found);
    }
    expect(await openStreams(view, 'a')).toEqual([]);
  });

  test('are stored when another one of the turn is refused', async () => {
    const view = await openView(newPath());
    await view.records.create(recordOf('s'));
    await view.records.create(recordOf('other'));
    await view.records.append(whole('s', 'known'));
    await view.records.append({ ...whole('s', 'open'), events: [''], complete: false });
    const asked: readonly (readonly [Append, 'written' | 'fenced'])[] = [
      [whole('s', 'p1'), 'written'],
      [whole('s', 'known', { events: ['"again"'] }), 'fenced'],
      [whole('other', 'known'), 'written'],
      [whole('s', 'open', { events: ['"again"'] }), 'fenced'],
      [whole('s', 'p2', { fence: { ...FENCE, epoch: 2 } }), 'fenced'],
      [whole('s', 'p2'), 'written'],
      [whole('s', 'p2', { events: ['"twice"'] }), 'fenced'],
      [whole('missing', 'p2'), 'fenced'],
      [whole('s', 'p3', { events: ['"\u001e"', '"record separator"'] }), 'written'],
      [whole('s', 'p4', { events: [] }), 'written'],
      [whole('s', 'p5'), 'written'],
    ];
    const outcomes = await Promise.all(asked.map(async ([append]) => view.records.append(append)));
    expect(outcomes).toEqual(asked.map(([, outcome]) => outcome));
    for (const [{ id, stream, events }, outcome] of asked) {
      if (outcome === 'fenced' || events.length === 0) continue;
      const logged = events.map((data, offset) => ({ offset, data }));
      const found = { found: true, events: logged, next: 2, complete: true };
      expect(await view.records.replay(id, stream, -1)).toEqual(found);
    }
    const first = { found: true, events: [{ offset: 0, data: '' }], next: 1, complete: false };
    expect(await view.records.replay('s', 'open', -1)).toEqual(first);
  });

  test.each([
    ['events', { ttlMs: 600_000, events: 7, bytes: 1_000_000 }],
    ['bytes', { ttlMs: 600_000, events: 1_000, bytes: 40 }],
  ])('are kept by the retention of %s', async (_, retention) => {
    const view = await openView(newPath(), { log: retention });
    await view.records.create(recordOf('s'));
    await assertKept(view, retention);
  });

  test('keep their order among other writes of the turn', async () => {
    const view = await openView(newPath());
    await view.records.create(recordOf('s'));
    const before = view.records.append(whole('s', 'p1'));
    const released = view.records.save('s', FENCE, { release: true });
    const after = view.records.append(whole('s', 'p2'));
    expect(await Promise.all([before, released, after])).toEqual(['written', 'written', 'fenced']);
  });
});

/** Appends to 60 streams of `s`, six in a turn, and compares what is kept after each turn. */
async function assertKept(view: View, retention: { events: number; bytes: number }): Promise<void> {
  const all: Array<{ name: string; offset: number; data: string }> = [];
  for (let n = 0; n < 60; n += 6) {
    const appends = Array.from({ length: 6 }, (_name, i) => {
      // The third of six does not complete its stream.
      const name = `p1x${(n + i).toString(36)}`;
      return i === 2 ? whole('s', name, { complete: false, events: ['"ten bytes'] }) : whole('s', name);
    });
    await Promise.all(appends.map(async (append) => view.records.append(append)));
    for (const { stream, events } of appends)
      for (const [offset, data] of events.entries()) all.push({ name: stream, offset, data });
    const kept = keptOf(all, retention);
    for (const name of new Set(all.map((event) => event.name))) {
      const events = kept.filter((event) => event.name === name).map(({ offset, data }) => ({ offset, data }));
      const replayed = await view.records.replay('s', name, (events[0]?.offset ?? 0) - 1);
      if (events.length > 0) expect(replayed).toMatchObject({ found: true, events });
      else expect(replayed.found && replayed.events.length > 0).toBe(false);
    }
  }
}
