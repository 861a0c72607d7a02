/** The lines about instances, and about the sessions that they hand over. */
import { describe, expect, test } from 'vitest';
import { serveFleet } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

describe('an instance', () => {
  const STEPS = /^This instance/;

  test('says that it joined, drains and has drained; another one says what it took over', async () => {
    const [a, b] = await serveFleet(2, { store: sharedStore('sqlite') });
    const clients = await Promise.all(Array.from({ length: 8 }, () => a.openSession()));
    await until(() => a.log.matching(STEPS).length === 1, { what: 'the line of the start' });
    const { id } = a;
    expect(await a.endpoint.drain({ timeoutMs: 0, stopListening: false })).toEqual({ released: 8, interrupted: 0 });
    expect(a.log.matching(STEPS).map(({ level, message, fields }) => [level, message.split(':')[0], fields])).toEqual([
      ['info', 'This instance joined the deployment', { instance: id }],
      ['info', 'This instance drains', {}],
      ['info', 'This instance has drained', { released: 8, interrupted: 0, ms: expect.any(Number) as number }],
    ]);
    for (const client of clients) expect(textOf((await b.join(client).call(...tool('count'))).message)).toBe('1');
    const taken = b.log.matching(/^A session continues here$/, 'info').map(({ fields }) => fields);
    expect(taken.map(({ cause }) => cause)).toEqual(Array.from({ length: 8 }, () => 'takeover'));
    expect(new Set(taken.map(({ sessionId }) => sessionId)).size).toBe(8);
  });

  test('warns when its drain interrupted calls', async () => {
    const [a] = await serveFleet(1);
    const client = await a.openSession();
    const held = client.call(...tool('hold'));
    await a.lab.held();
    await a.endpoint.drain({ timeoutMs: 0, stopListening: false });
    await held;
    expect(a.log.matching(/interrupted calls/, 'warn')).toMatchObject([{ fields: { interrupted: 1 } }]);
    // A store in this process has no other instance to join.
    expect(a.log.matching(/joined/)).toEqual([]);
  });
});
