import { describe, expect, test } from 'vitest';
import type { AppendRequest } from '../../src/stores/store.ts';
import { FENCE, newPath, openView, recordOf } from './sqlite-views.ts';

const whole = (sessionId: string, stream: string, more: Partial<AppendRequest> = {}): AppendRequest => ({
  sessionId,
  fence: FENCE,
  stream,
  from: 0,
  events: ['', `"${sessionId} ${stream}"`],
  complete: true,
  ...more,
});

describe('streams that begin and end in one turn', () => {
  test('are stored, whatever their number and sessions', async () => {
    const view = await openView(newPath());
    const sessions = ['a', 'b', 'c'];
    await Promise.all(sessions.map(async (id) => view.sessions.create(recordOf(id))));
    const appends = Array.from({ length: 50 }, (_, n) => whole(sessions[n % 3] ?? '', `p1x${n.toString(36)}`));
    const outcomes = await Promise.all(appends.map(async (append) => view.events.append(append)));
    expect(new Set(outcomes)).toEqual(new Set(['written']));
    for (const { sessionId, stream, events } of appends) {
      const logged = events.map((data, offset) => ({ offset, data }));
      const found = { found: true, events: logged, next: 2, complete: true };
      expect(await view.events.replay(sessionId, stream, -1)).toEqual(found);
    }
    expect(await view.events.open('a')).toEqual([]);
  });

  test('of which one is refused are stored but for that', async () => {
    const view = await openView(newPath());
    await view.sessions.create(recordOf('s'));
    await view.sessions.create(recordOf('other'));
    await view.events.append(whole('s', 'known'));
    await view.events.append({ ...whole('s', 'open'), events: [''], complete: false });
    const asked: readonly (readonly [AppendRequest, 'written' | 'fenced'])[] = [
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
    const outcomes = await Promise.all(asked.map(async ([append]) => view.events.append(append)));
    expect(outcomes).toEqual(asked.map(([, outcome]) => outcome));
    for (const [{ sessionId, stream, events }, outcome] of asked) {
      if (outcome === 'fenced' || events.length === 0) continue;
      const logged = events.map((data, offset) => ({ offset, data }));
      const found = { found: true, events: logged, next: 2, complete: true };
      expect(await view.events.replay(sessionId, stream, -1)).toEqual(found);
    }
    const first = { found: true, events: [{ offset: 0, data: '' }], next: 1, complete: false };
    expect(await view.events.replay('s', 'open', -1)).toEqual(first);
  });

  test('keep their place among what else the turn writes', async () => {
    const view = await openView(newPath());
    await view.sessions.create(recordOf('s'));
    const before = view.events.append(whole('s', 'p1'));
    const released = view.sessions.release('s', FENCE);
    const after = view.events.append(whole('s', 'p2'));
    expect(await Promise.all([before, released, after])).toEqual(['written', 'written', 'fenced']);
  });
});
