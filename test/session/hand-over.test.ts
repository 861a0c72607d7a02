import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions, Notice } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet, serveMember, type Member } from '../kit/fleet.ts';
import { createLab, say, textOf, tool, toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { gate, loseLease, watchedStore } from '../kit/watched-store.ts';

const LIST_CHANGED = { jsonrpc: '2.0', method: 'notifications/resources/list_changed' };

async function pair(options: McpEndpointOptions = {}) {
  const [a, b] = await serveFleet(2, options);
  const onA = a.client();
  await onA.initialize({
    capabilities: { elicitation: { form: {} }, sampling: {} },
    clientInfo: { name: 'traveller', version: '7' },
  });
  return { a, b, onA, onB: b.join(onA) };
}

const logged = async (client: RawClient): Promise<unknown[]> => {
  const { response } = await client.call(...tool('log'));
  return (await response.untilEnd()).flatMap(({ message }) => {
    const { params } = (message ?? {}) as { params?: { data: unknown } };
    return params === undefined ? [] : [params.data];
  });
};

describe.each(['drain', 'close'] as const)('after %s() of its owner, a session', (how) => {
  test('continues at another instance with all that its server received', async () => {
    const { a, b, onA, onB } = await pair();
    expect((await onA.call('logging/setLevel', { level: 'error' })).response.status).toBe(200);
    for (const uri of ['note://a', 'note://b', 'note://c'])
      await onA.call('resources/subscribe', { uri });
    await onA.call('resources/unsubscribe', { uri: 'note://b' });
    expect(await say(onA, 'count')).toBe('1');
    expect(await logged(onA)).toEqual(['big']);

    await a.endpoint[how]();
    expect([a.lab.made[0]?.closed, b.lab.made.length, b.endpoint.sessions.liveCount]).toEqual([
      true,
      0,
      0,
    ]);

    const { response, message } = await onB.call(...tool('who'));
    expect([response.status, response.header('mcp-session-id')]).toEqual([200, onA.sessionId]);
    expect(JSON.parse(textOf(message) ?? '')).toEqual({
      id: onA.sessionId,
      version: '2025-11-25',
      clientInfo: { name: 'traveller', version: '7' },
      capabilities: { elicitation: { form: {} }, sampling: {} },
      restored: true,
    });
    expect(b.lab.made.map(({ ctx }) => [ctx.restored, ctx.session?.createdAt])).toEqual([
      [true, a.lab.made[0]?.ctx.session?.createdAt],
    ]);
    expect(await say(onB, 'count')).toBe('2');
    expect(await logged(onB)).toEqual(['big']);

    const stream = await onB.get();
    for (const uri of ['note://b', 'note://c', new URL('note://a') as never])
      b.endpoint.notify.resourceUpdated(uri);
    const uris: unknown[] = [];
    for (let n = 0; n < 2; n++)
      uris.push(((await stream.nextMessage()) as { params: { uri: string } }).params.uri);
    expect(uris).toEqual(['note://c', 'note://a']);
  });

  test('is reported by events, signal and run hook of both instances', async () => {
    const seen: string[] = [];
    const { a, b, onA, onB } = await pair({
      runSessionHandler: async (_request, session, run) => {
        session.signal.addEventListener('abort', () =>
          seen.push(`signal ${session.signal.reason}`),
        );
        seen.push('run');
        seen.push(`left ${await run()}`);
      },
    });
    for (const [name, { endpoint }] of Object.entries({ a, b })) {
      for (const event of ['Opened', 'Restored', 'Released', 'Ended'] as const) {
        endpoint.notices.on(`session${event}`, (notice: Extract<Notice, { at: number }>) => {
          const { sessionId, at: _, kind: __, ...why } = notice;
          seen.push([name, event, sessionId === onA.sessionId, Object.values(why)[0]].join(' '));
        });
      }
    }
    const reason = how === 'drain' ? 'released' : 'closed';
    await a.endpoint[how]();
    expect(seen.splice(0)).toEqual([
      'run',
      `signal ${reason}`,
      `left ${reason}`,
      `a Released true ${reason}`,
    ]);
    await onB.call('ping');
    expect(seen).toEqual(['run', 'b Restored true takeover']);
  });

  test("that was never initialized to the end is not told notifications/initialized in the client's place", async () => {
    let told = 0;
    const store = memory();
    const a = await serveMember({ store });
    const listens = createLab((server) => {
      server.server.oninitialized = () => void (told += 1);
    });
    const b = await serveMember({ store }, {}, listens);
    const early = await a.openSession({ initialized: false });
    await a.endpoint[how]();
    const late = b.join(early);
    expect((await late.call('ping')).response.status).toBe(200);
    expect(told).toBe(0);
    const stream = await late.get();
    await b.lab.made[0]?.server.server.sendResourceListChanged(); // not before `initialized`
    await late.notify('notifications/initialized');
    expect(told).toBe(1);
    await b.lab.made[0]?.server.server.sendResourceListChanged();
    expect(await stream.nextMessage()).toEqual(LIST_CHANGED);
    expect(stream.events.filter(({ message }) => message !== undefined).length).toBe(1);
  });

  test('that was never initialized to the end is told notifications/initialized before the first call of its client', async () => {
    const told: string[] = [];
    const store = memory();
    const a = await serveMember({ store });
    const listens = createLab((server) => {
      server.server.oninitialized = () => void told.push('initialized');
    });
    const b = await serveMember({ store }, {}, listens);
    const early = await a.openSession({ initialized: false });
    expect((await early.call('tools/list')).response.status).toBe(200);
    await a.endpoint[how]();
    const late = b.join(early);
    await late.call('ping');
    expect(told).toEqual([]);
    await Promise.all([late.call('tools/list'), late.call('tools/list')]);
    expect(told).toEqual(['initialized']);
  });
});

describe('when the rebuilt server differs', () => {
  /** `b` serves one prompt more than `a`, and so announces prompts. */
  async function changing() {
    const store = memory();
    const a = await serveMember({ store });
    const onA = await a.openSession();
    const b = await serveChanged(store);
    return { a, b, onA, onB: b.join(onA), store };
  }

  function serveChanged(store: Store): Promise<Member> {
    const addPrompt = createLab(
      (server) => void server.registerPrompt('new', {}, () => ({ messages: [] })),
    );
    return serveMember({ store }, {}, addPrompt);
  }

  test('the client gets a list change on its next GET, once', async () => {
    const { a, b, onA, onB, store } = await changing();
    await a.endpoint.drain();
    const stream = await onB.get();
    const told = [
      await stream.nextMessage(),
      await stream.nextMessage(),
      await stream.nextMessage(),
    ];
    expect(told).toEqual(
      ['tools', 'prompts', 'resources'].map((what) => ({
        jsonrpc: '2.0',
        method: `notifications/${what}/list_changed`,
      })),
    );
    // The record has the new answer now: the next restore finds no difference.
    const c = await serveChanged(store);
    await b.endpoint.drain();
    const again = await c.join(onA).get();
    c.endpoint.notify.toolsChanged();
    expect(await again.nextMessage()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
    });
  });

  test('and no longer speaks the negotiated version, the session ends', async () => {
    const store = memory();
    const ended: unknown[] = [];
    const a = await serveMember({ store });
    const onA = await a.openSession();
    const b = await serveMember({
      store,
      supportedProtocolVersions: ['2025-06-18', '2025-11-25'],
      configureSessionOptions: () => ({ supportedProtocolVersions: ['2025-06-18'] }),
      sessionMigrationHandler: {
        allowSessionMigration: () => null,
        onSessionEnded: (id, reason) => void ended.push([id, reason]),
      },
    });
    await a.endpoint.drain();
    const onB = b.join(onA);
    expect((await onB.call('ping')).response.status).toBe(404);
    expect(ended).toEqual([[onA.sessionId, 'server_closed']]);
    await until(() => b.lab.made[0]?.closed);
    expect((await onB.call('ping')).response.status).toBe(404);
    expect(b.lab.made.length).toBe(1);
  });
});

test('list_changed of what changed while its restore wrote into the store', async () => {
  const store = watchedStore({ durable: true });
  const lab = createLab(
    (server) => void server.registerTool('hang', {}, () => new Promise<never>(() => {})),
  );
  const [a, b] = await serveFleet(2, { store, leaseMs: 60_000 }, [], [lab, lab]);
  const onA = await a.openSession();
  const lost = await onA.post(toolCall('lost', 'hang'));
  await until(() => store.calls.some(({ call }) => call === 'sessions.append'), {
    what: 'the call in the store',
  });
  await loseLease(store, a.id);
  const appends = gate();
  store.before['sessions.append'] = appends.hook;
  const pinged = b.join(onA).call('ping');
  await until(() => appends.waiting > 0, { what: 'the end of the lost call' });
  b.endpoint.notify.resourcesChanged();
  await new Promise((resolve) => setImmediate(resolve));
  appends.open();
  const { response } = await pinged;
  expect((await response.untilEnd()).map(({ message }) => message)).toContainEqual(LIST_CHANGED);
  lost.abort();
});
