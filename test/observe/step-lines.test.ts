/** The lines about instances, and those about sessions that move together. */
import { describe, expect, test } from 'vitest';
import { SessionLines } from '../../src/observe/step-lines.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import { createLog, type Log } from '../kit/log.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

const told = (log: Log): unknown[] => log.lines.splice(0).map(({ level, message, fields }) => [level, message, fields]);

describe('sessions that move', () => {
  test('have a line each up to five in a second, and one line has the number of all', async () => {
    const [time, log] = [createFakeTime(), createLog()];
    const lines = new SessionLines(log, time);
    for (let n = 0; n < 300; n++) lines.restored(`s${n}`, 'takeover', 'dead');
    for (let n = 0; n < 7; n++) lines.restored(`w${n}`, 'wake', undefined);
    for (let n = 0; n < 5; n++) lines.hibernated(`h${n}`);
    const at = told(log);
    expect(at).toHaveLength(15);
    expect(at[0]).toEqual(['info', 'A session continues here', { cause: 'takeover', from: 'dead', sessionId: 's0' }]);
    expect(at.at(-1)).toEqual(['info', 'A session hibernated', { sessionId: 'h4' }]);
    await time.advance(1_000);
    expect(told(log)).toEqual([
      ['info', 'Took over sessions within a second', { sessions: 300, from: 'dead' }],
      ['info', 'Sessions continued here within a second', { sessions: 7, cause: 'wake', from: undefined }],
    ]);
    lines.hibernated('later');
    expect(told(log)).toEqual([['info', 'A session hibernated', { sessionId: 'later' }]]);
    await time.advance(60_000);
    expect(told(log)).toEqual([]);
  });

  test('of a load that lasts, each second has its own number', async () => {
    const [time, log] = [createFakeTime(), createLog()];
    const lines = new SessionLines(log, time);
    for (let second = 0; second < 3; second++) {
      for (let n = 0; n < 100; n++) lines.hibernated('s');
      await time.advance(1_000);
    }
    const counts = log.matching(/within a second/).map(({ fields }) => fields['sessions']);
    expect(counts).toEqual([100, 100, 100]);
  });
});

describe('an instance', () => {
  const STEPS = /^This instance/;

  test('says that it joined, drains and has drained; another one says what it took over', async () => {
    const [a, b] = (await serveFleet(2, { store: sharedStore('sqlite') })) as [Member, Member];
    const clients = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const client = a.client();
        await client.initialize();
        return client;
      }),
    );
    await until(() => a.log.matching(STEPS).length === 1, { what: 'the line of the start' });
    const { id } = a;
    expect(await a.endpoint.drain({ timeoutMs: 0, stopListening: false })).toEqual({ released: 8, interrupted: 0 });
    expect(a.log.matching(STEPS).map(({ level, message, fields }) => [level, message.split(':')[0], fields])).toEqual([
      ['info', 'This instance joined the deployment', { instance: id }],
      ['info', 'This instance drains', {}],
      ['info', 'This instance has drained', { released: 8, interrupted: 0, ms: expect.any(Number) as number }],
    ]);
    for (const client of clients) expect(textOf((await b.join(client).call(...tool('count'))).message)).toBe('1');
    await until(() => b.log.matching(/within a second$/).length > 0, { what: 'the number of sessions' });
    const [line] = b.log.matching(/within a second$/);
    expect(Number(line?.fields['sessions'])).toBeGreaterThan(5);
  });

  test('warns when its drain interrupted calls', async () => {
    const [a] = (await serveFleet(1)) as [Member];
    const client = a.client();
    await client.initialize();
    const held = client.call(...tool('hold'));
    await a.lab.held();
    await a.endpoint.drain({ timeoutMs: 0, stopListening: false });
    await held;
    expect(a.log.matching(/interrupted calls/, 'warn')).toMatchObject([{ fields: { interrupted: 1 } }]);
    // A store in this process has no other instance to join.
    expect(a.log.matching(/joined/)).toEqual([]);
  });
});
