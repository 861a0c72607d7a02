/** Changes of `session.state` that wait: for a store that is away, and for the record of their session. */
import { expect, test } from 'vitest';
import { storeUnavailable } from '../../../src/base/errors.ts';
import { currentSession, type McpEndpointOptions, type State } from '../../../src/index.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { createLab, say, textOf, tool } from '../../kit/lab.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';

useSharedStores();

const CHANGES = 6;

/**
 * Two instances. `write` makes changes without waiting for one before the next, and answers with what became of them, in
 * order; `read` answers with the last of either key, and with the key that `drop` has set and deleted.
 */
async function serveWriter(options: McpEndpointOptions) {
  const store = watchedStore({ durable: true, inner: sharedStore('sqlite')() });
  const outcomes: string[] = [];
  const lab = createLab((server) => {
    server.registerTool('write', {}, async () => {
      const changes = Array.from({ length: CHANGES }, async (_, n) => {
        try {
          await currentSession()?.state.set(n % 2 === 0 ? 'even' : 'odd', n);
          outcomes.push(String(n));
        } catch (error) {
          outcomes.push((error as { code?: string }).code ?? String(error));
        }
      });
      await Promise.all(changes);
      return said(outcomes.join(' '));
    });
    server.registerTool('drop', {}, async () => {
      const { state } = currentSession() ?? {};
      await state?.set('gone', 1);
      return said(String(await state?.delete('gone')));
    });
    server.registerTool('read', {}, async () => {
      const { state } = currentSession() ?? {};
      return said(
        `${await state?.get('even')} ${await state?.get('odd')} ${await state?.get('gone')}`,
      );
    });
  });
  const [first, second] = await serveFleet(2, { store, ...options }, [], [lab, lab]);
  const client = first.client({ timeoutMs: 20_000 });
  /** The last changes, as the next owner of the session reads it. */
  const stored = async (): Promise<string | undefined> => {
    await first.endpoint.drain();
    return await say(second.join(client), 'read');
  };
  return { store, client, outcomes, stored };
}

test('past maxWaitMs each change fails with STORE_UNAVAILABLE', async () => {
  const { store, client } = await serveWriter({ maxWaitMs: 100 });
  await client.initialize();
  store.before['sessions.save'] = () => {
    throw storeUnavailable('the cable is out');
  };
  const { message } = await client.call(...tool('write'));
  expect(textOf(message)).toBe(
    Array.from({ length: CHANGES }, () => 'STORE_UNAVAILABLE').join(' '),
  );
});

test.each(['before', 'after'] as const)(
  'a write that fails %s it is stored undoes no later change',
  async (when) => {
    const { store, client, stored } = await serveWriter({});
    await client.initialize();
    let failures = 0;
    store[when]['sessions.save'] = async () => {
      if (failures++ < 2) throw storeUnavailable('the cable is out');
    };
    expect(await say(client, 'write')).toBe('0 1 2 3 4 5');
    expect(await say(client, 'drop')).toBe('true');
    expect(await stored()).toBe('4 5 undefined');
  },
);

test('a change is acknowledged with its own write, not with an earlier one', async () => {
  const { store, client, outcomes } = await serveWriter({});
  await client.initialize();
  const second = gate();
  let writes = 0;
  store.before['sessions.save'] = () => (writes++ === 0 ? undefined : second.hook());
  const called = client.call(...tool('write'));
  await until(() => second.waiting === 1 && outcomes.length > 0);
  expect(outcomes).toEqual(['0']);
  second.open();
  expect(textOf((await called).message)).toBe('0 1 2 3 4 5');
});

test('a change that is made while the record of its session is being stored is in the store once it is acknowledged', async () => {
  let state: State | undefined;
  const runSessionHandler: McpEndpointOptions['runSessionHandler'] = async (
    _request,
    session,
    run,
  ) => {
    if (session.kind === 'session') state = session.state;
    await run();
  };
  const { store, client, stored } = await serveWriter({ runSessionHandler });
  const creation = gate();
  store.before['sessions.create'] = creation.hook;
  const initialized = client.initialize();
  await until(() => creation.waiting > 0, { what: 'the creation of the record' });
  const changed = state?.set('even', 'kept');
  await new Promise((resolve) => setImmediate(resolve));
  creation.open();
  await changed;
  await initialized;
  expect(await stored()).toBe('kept undefined undefined');
});
