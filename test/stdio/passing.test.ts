/** Notifications pass as they are, also those that the SDK's own server would keep back. */
import { expect, test } from 'vitest';
import { isSubclass } from '../../src/sdk/sdk-server.ts';
import { newServer } from '../../src/stdio/new-server.ts';
import { textOf } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { type Looked, serveScripted } from './serving.ts';

const PROGRAMS = { '2025': [], 'both eras': ['modern'] };

const TOLD = [
  // The capabilities of the program say nothing of prompts.
  { method: 'notifications/prompts/list_changed' },
  { method: 'notifications/resources/list_changed' },
  { method: 'notifications/tools/list_changed', params: { _meta: { of: 'program' } } },
  { method: 'notifications/tools/list_changed' },
  // The client did not say that it can be asked.
  { method: 'notifications/elicitation/complete', params: { elicitationId: 'e1' } },
  { method: 'notifications/own', params: { n: 1 } },
  { method: 'notifications/own' },
];

test.each(Object.entries(PROGRAMS))(
  'what a program of %s tells reaches its session with the parameters that it has',
  async (_, words) => {
    const { openSession } = await serveScripted({ words });
    const client = await openSession({ capabilities: {} });
    const listening = await client.get();
    const told: object[] = [];
    for (const message of TOLD) {
      const params = { name: 'tell', arguments: message };
      const { response } = await client.call('tools/call', params);
      told.push(...response.messages.filter(({ method }) => method !== undefined));
    }
    const all = () => [...told, ...listening.messages];
    await until(() => all().length === TOLD.length, { what: 'all notifications' });
    const sorted = (list: readonly object[]) => list.map((one) => JSON.stringify(one)).toSorted();
    const sent = TOLD.map(({ method, params }) => ({ method, ...(params && { params }) }));
    const heard = all().map((one) => {
      const { method, params } = one as (typeof TOLD)[number];
      return { method, ...(params && { params }) };
    });
    expect(sorted(heard)).toEqual(sorted(sent));
  },
);

test.each(Object.entries(PROGRAMS))(
  'progress of a client reaches a program of %s, whatever its token is',
  async (_, words) => {
    const { openSession } = await serveScripted({ words });
    const client = await openSession();
    const progress = [
      { progressToken: 'upload-1', progress: 0.5, total: 1, message: 'halfway' },
      { progressToken: 7, progress: 1 },
    ];
    for (const params of progress) await client.notify('notifications/progress', params);
    const { message } = await client.call('tools/call', { name: 'look', arguments: {} });
    expect(JSON.parse(String(textOf(message))) as Looked & object).toMatchObject({ progress });
  },
);

test('requests take the short way into the server of a program: its class is that of the SDK', () => {
  const described = { serverInfo: { name: 'p', version: '1' }, capabilities: {}, era: 'legacy' };
  const server = newServer({} as never, described as never);
  expect(isSubclass(server)).toBe(false);
});
