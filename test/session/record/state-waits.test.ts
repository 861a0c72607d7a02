/** Changes of `session.state` that wait: for a store that is away, and for the record of their session. */
import { expect, test } from 'vitest';
import { storeAway } from '../../../src/errors.ts';
import { currentSession, type McpEndpointOptions, type SessionState } from '../../../src/index.ts';
import { serveFleet, type Member } from '../../kit/fleet.ts';
import { createLab, textOf, tool } from '../../kit/lab.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';

useSharedStores();

const CHANGES = 6;

/** `write` makes changes without waiting for one before the next, and answers with what became of them, in order. */
async function serveWriter(waitMs: number) {
  const store = watchedStore({ durable: true, inProcess: false, inner: sharedStore('sqlite')() });
  const lab = createLab((server) => {
    server.registerTool('write', {}, async () => {
      const outcomes: string[] = [];
      const changes = Array.from({ length: CHANGES }, async (_, n) => {
        try {
          await currentSession()?.state.set('last', n);
          outcomes.push(String(n));
        } catch (error) {
          outcomes.push((error as { code?: string }).code ?? String(error));
        }
      });
      await Promise.all(changes);
      return { content: [{ type: 'text', text: outcomes.join(' ') }] };
    });
  });
  const [member] = (await serveFleet(1, { store, waitMs }, [], [lab])) as [Member];
  const client = member.client({ timeoutMs: 20_000 });
  await client.initialize();
  return { store, client };
}

test('past waitMs each change fails with STORE_AWAY', async () => {
  const { store, client } = await serveWriter(100);
  store.before['sessions.save'] = () => {
    throw storeAway('the cable is out');
  };
  const { message } = await client.call(...tool('write'));
  expect(textOf(message)).toBe(Array.from({ length: CHANGES }, () => 'STORE_AWAY').join(' '));
});

test('a change that is made while the record of its session is being stored is in the store once it is acknowledged', async () => {
  const store = watchedStore({ durable: true, inProcess: false, inner: sharedStore('sqlite')() });
  const creation = gate();
  store.before['sessions.create'] = creation.hook;
  let state: SessionState | undefined;
  const lab = createLab((server) => {
    server.registerTool('read', {}, async () => {
      const last = (await currentSession()?.state.get('last')) ?? 'nothing';
      return { content: [{ type: 'text', text: String(last) }] };
    });
  });
  const runSessionHandler: McpEndpointOptions['runSessionHandler'] = async (_request, session, run) => {
    if (session.kind === 'session') state = session.state;
    await run();
  };
  const [first, second] = (await serveFleet(2, { store, runSessionHandler }, [], [lab, lab])) as [Member, Member];
  const client = first.client();
  const initialized = client.initialize();
  await until(() => creation.waiting > 0, { what: 'the creation of the record' });
  const changed = state?.set('last', 'kept');
  await new Promise((resolve) => setImmediate(resolve));
  creation.open();
  await changed;
  await initialized;
  await first.endpoint.drain();
  expect(textOf((await second.join(client).call(...tool('read'))).message)).toBe('kept');
});
