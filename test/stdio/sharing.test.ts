/** Who gets which child, and how many there are. */
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { inMatrix } from '../kit/matrix.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { as, auth, type Looked, serveScripted, SMALLEST } from './serving.ts';

const textIn = (message: object): string =>
  (message as { result: { content: [{ text: string }] } }).result.content[0].text;

const call = async (client: RawClient, name: string, args = {}): Promise<string> =>
  textIn((await client.call('tools/call', { name, arguments: args })).message);
const callAs = async (client: RawClient, name: string): Promise<string> =>
  textIn((await callModern(client, 'tools/call', { name, arguments: {} })).message);

const look = async (client: RawClient): Promise<Looked> =>
  JSON.parse(await call(client, 'look')) as Looked;

describe('the environment of a child', () => {
  test('is a list, and what the operator names', async () => {
    process.env['SECRET_OF_GATEWAY'] = 'x';
    process.env['LET_THROUGH'] = 'y';
    try {
      const { openSession } = await serveScripted({
        env: { OWN: 'z' },
        inheritEnv: ['LET_THROUGH'],
      });
      const { env } = await look(await openSession());
      const listed = ['HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'USER'];
      const known = [...listed, 'OWN', 'LET_THROUGH', 'SOJOURN_STDIO_CHILD'];
      expect(Object.keys(env).filter((name) => !known.includes(name))).toEqual([]);
      expect(env).toMatchObject({ OWN: 'z', LET_THROUGH: 'y' });
    } finally {
      delete process.env['SECRET_OF_GATEWAY'];
      delete process.env['LET_THROUGH'];
    }
  });

  test('has what userEnv takes from the user, and no token', async () => {
    const userEnv = {
      WHO: 'user',
      MAIL: 'claim:email',
      KEY: 'header:x-key',
      FILE: '/data/{user}.json',
    };
    const { client } = await serveScripted({ userEnv }, { auth, relayedHeaders: ['x-key'] });
    const seen = await Promise.all(
      ['ann', 'bob'].map(async (user) => {
        const { headers } = as(user);
        const made = client({ headers: { ...headers, 'x-key': `of ${user}` } });
        await made.initialize();
        return (await look(made)).env;
      }),
    );
    expect(seen[0]).toMatchObject({ WHO: 'ann', MAIL: 'ann@a.example', KEY: 'of ann' });
    expect(seen[0]?.['FILE']).toMatch(/^\/data\/[\w-]{22}\.json$/);
    expect(seen[0]?.['FILE']).not.toBe(seen[1]?.['FILE']);
    expect(JSON.stringify(seen)).not.toContain('Bearer');
  });

  test('is that of the headers of the caller, for lists without a user too', async () => {
    const userEnv = { KEY: 'header:x-key' };
    const { client } = await serveScripted({ userEnv });
    const listed = async (key: string) => {
      const options = { headers: { 'x-key': key } };
      return (await callModern(client(options), 'resources/list')).message.result;
    };
    for (const key of ['of ann', 'of bob'])
      expect(await listed(key)).toMatchObject({ resources: [{ name: key }] });
  });

  test.each([
    [{ A: 'header:Authorization' }, 'a header that is no credential'],
    [{ A: 'header:cookie' }, 'a header that is no credential'],
    [{ A: 'token' }, 'NAME=user'],
    [{ NODE_OPTIONS: 'header:x' }, 'loads no code'],
    [{ LD_PRELOAD: 'user' }, 'loads no code'],
    [{ 'A B': 'user' }, 'NAME=user'],
    [{ A: 'user' }, 'callers who share no child', true],
  ])('userEnv %o is refused', async (userEnv, why, oneChild = false) => {
    await expect(serveScripted({ userEnv, oneChild })).rejects.toThrow(why);
  });
});

describe('users', () => {
  test('B256 have children of their own in both eras, and calls of one user share one', async () => {
    const { client } = await serveScripted({}, { auth });
    const pids = new Map<string, string>();
    for (const user of ['ann', 'bob']) {
      const modern = client(as(user));
      expect([await callAs(modern, 'count'), await callAs(modern, 'count')]).toEqual(['1', '2']);
      const session = client(as(user));
      await session.initialize();
      expect(await call(session, 'count')).toBe('1');
      pids.set(user, await callAs(modern, 'look'));
    }
    expect(pids.get('ann')).not.toBe(pids.get('bob'));
  });

  test('B256 a state of one user is refused for another', async () => {
    const { client } = await serveScripted({}, { auth });
    const capabilities = { elicitation: { form: {} } };
    const params = { name: 'askLoudly', arguments: {} };
    const { message } = await callModern(client(as('ann')), 'tools/call', params, { capabilities });
    const { requestState } = message.result as { requestState: string };
    const answers = {
      requestState,
      inputResponses: { q1: { action: 'accept', content: { name: 'Bob' } } },
    };
    const bob = await callModern(
      client(as('bob')),
      'tools/call',
      { ...params, ...answers },
      { capabilities },
    );
    expect(bob.message.error?.code).toBe(-32_602);
    const ann = await callModern(
      client(as('ann')),
      'tools/call',
      { ...params, ...answers },
      { capabilities },
    );
    expect(textIn(ann.message)).toContain('Bob');
  });

  test('one caller has half of the children: another is served while all of the first are busy', async () => {
    const { client, stdio } = await serveScripted({ maxChildren: 4 }, { auth });
    const busy: Promise<unknown>[] = [];
    const anns: RawClient[] = [];
    for (let n = 0; n < 2; n += 1) {
      const ann = client(as('ann'));
      await ann.initialize();
      anns.push(ann);
      busy.push(ann.call('tools/call', { name: 'wait', arguments: { ms: 3_000 } }));
    }
    await until(() => stdio.figures().alive === 2);
    const third = client({ ...as('ann'), timeoutMs: 60_000 });
    const late = third.initialize();
    const bob = client(as('bob'));
    await bob.initialize();
    expect(await call(bob, 'count')).toBe('1');
    expect(stdio.figures().alive).toBe(3);
    expect((await late).message.result).toBeDefined();
    await Promise.all(busy);
  });
});

describe('what changes in a child', () => {
  const A = { toolsListChanged: true, resourceSubscriptions: ['mem://a'] };
  const listenTo = async (client: RawClient, notifications: object) => {
    const stream = await postModern(client, 'subscriptions/listen', { notifications });
    const { params } = await stream.nextMessage();
    return { stream, honored: params?.['notifications'] };
  };
  const methods = (stream: { messages: readonly { method?: string }[] }) =>
    stream.messages.map(({ method }) => method?.split('/').slice(1).join('/'));

  test('B257 is told to its user from each of the children, and to no other user', async () => {
    const { client } = await serveScripted({}, { auth });
    const [ann, bob] = [client(as('ann')), client(as('bob'))];
    const [first, second] = [await listenTo(ann, A), await listenTo(bob, A)];
    expect(first.honored).toEqual(A);
    const capabilities = { elicitation: { form: {} } };
    for (const name of ['change', 'update']) {
      const params = { name, arguments: { uri: 'mem://a' } };
      await callModern(ann, 'tools/call', params);
      await callModern(ann, 'tools/call', params, { capabilities });
    }
    await until(() => first.stream.messages.length === 5);
    const [list, update] = ['tools/list_changed', 'resources/updated'];
    expect(methods(first.stream).slice(1)).toEqual([list, list, update, update]);
    await callAs(bob, 'change');
    await until(() => second.stream.messages.length === 2);
    // Its stream ended, and its child has no subscription any more.
    first.stream.abort();
    const uris = async () => (JSON.parse(await callAs(ann, 'look')) as Looked).uris;
    await until(async () => (await uris()).length === 0);
  });

  test('B257 is told without a user about lists alone, and so where a child has too many subscriptions', async () => {
    const { client } = await serveScripted();
    expect((await listenTo(client(), A)).honored).toEqual({ toolsListChanged: true });
    const named = await serveScripted({}, { auth });
    const ann = named.client(as('ann'));
    const long = (of: number) => ({
      ...A,
      resourceSubscriptions: Array.from({ length: 8 }, (_, n) => `mem://${of}${n}`.padEnd(8_192)),
    });
    for (let n = 0; n < 4; n += 1) expect((await listenTo(ann, long(n))).honored).toEqual(long(n));
    expect((await listenTo(ann, A)).honored).toEqual({ toolsListChanged: true });
  });

  test('is told to the session that subscribed, where one child is for all', async () => {
    const { openSession } = await serveScripted({ oneChild: true });
    const sessions = [await openSession(), await openSession()] as const;
    const streams = await Promise.all(sessions.map((session) => session.get()));
    for (const [n, session] of sessions.entries())
      await session.call('resources/subscribe', { uri: `mem://${n}` });
    await sessions[0].call('resources/unsubscribe', { uri: 'mem://1' });
    expect((await look(sessions[0])).uris).toEqual(['mem://0', 'mem://1']);
    for (const uri of ['mem://0', 'mem://1']) await call(sessions[0], 'update', { uri });
    await until(() => streams.every(({ messages }) => messages.length > 0));
    expect(streams.map(({ messages }) => messages.map(({ params }) => params))).toEqual([
      [{ uri: 'mem://0' }],
      [{ uri: 'mem://1' }],
    ]);
  });
});

describe('one child for all', () => {
  test('is told of no capability, asks nobody, and serves both eras', async () => {
    const { client, openSession, stdio } = await serveScripted({ oneChild: true });
    const [ann, bob] = [
      await openSession({ capabilities: { elicitation: {} } }),
      await openSession(),
    ];
    expect([
      await call(ann, 'count'),
      await call(bob, 'count'),
      await callAs(client(), 'count'),
    ]).toEqual(['1', '2', '3']);
    expect((await look(ann)).hello).toEqual(['sojourn-stdio']);
    expect(await call(ann, 'ask', { kinds: ['elicit'] })).toContain('Several clients share');
    expect(stdio.figures().alive).toBe(1);
  });

  test.each([[[]], [['modern', 'only']]])(
    'of a program %j: what it logs for a call of one client reaches no other client',
    async (words) => {
      const { openSession, lines } = await serveScripted({ oneChild: true, words });
      const [ann, bob] = [await openSession(), await openSession()];
      const params = { name: 'wait', arguments: { ms: 1_000 } };
      const waiting = ann.call('tools/call', params);
      await until(() => lines.some((line) => line.includes('began wait')));
      await call(bob, 'log');
      expect((await waiting).response.messages).toHaveLength(1);
    },
  );
});

describe('the number of children', () => {
  test.each(inMatrix([200], [40]))(
    'B254 %i sessions work on 3 children: the oldest idle one makes room',
    async (count) => {
      const program = { command: '/bin/sh', args: [SMALLEST], maxChildren: 3 };
      const { openSession, stdio, endpoint } = await serveScripted(program, {
        limits: { userShare: 1 },
      });
      const sessions: RawClient[] = [];
      for (let n = 0; n < count; n += 1) sessions.push(await openSession());
      const alive: number[] = [];
      for (const session of sessions) {
        expect(await call(session, 'here')).toBe('here');
        alive.push(stdio.figures().alive);
      }
      expect(Math.max(...alive)).toBeLessThanOrEqual(3);
      expect(stdio.figures().places).toBeLessThanOrEqual(3);
      expect((await endpoint.sessions.list({ limit: count })).sessions).toHaveLength(count);
    },
  );

  test('24 sessions that call in turn on 8 children start few more than one each', async () => {
    const { openSession, lines } = await serveScripted({ maxChildren: 8, words: ['heavy'] });
    const began = () => lines.filter((line) => line.includes('child of the program started'));
    const before = began().length;
    const calls = Array.from({ length: 24 }, async () => {
      const session = await openSession({}, { timeoutMs: 60_000 });
      for (let n = 0; n < 10; n += 1) await call(session, 'count');
    });
    await Promise.all(calls);
    // They make 240 calls. Each of them could start a child.
    expect(began().length - before).toBeLessThanOrEqual(40);
  });

  test('an idle child stops, and the next call starts it with what its client set', async () => {
    const { openSession, stdio } = await serveScripted({ childIdleTimeoutMs: 200 });
    const session = await openSession();
    const { pid } = await look(session);
    await session.call('logging/setLevel', { level: 'error' });
    await until(() => stdio.figures().alive === 0);
    // It is noted, and starts no child.
    await session.call('resources/subscribe', { uri: 'mem://a' });
    expect(stdio.figures().alive).toBe(0);
    const later = await look(session);
    expect(later).toMatchObject({ level: 'error', uris: ['mem://a'] });
    expect(later.pid).not.toBe(pid);
  });
});

test('calls whose client has shown no sign for a minute make room', async () => {
  const time = createFakeTime();
  const { openSession, client, stdio, lines } = await serveScripted(
    { maxChildren: 2 },
    { timeProvider: time, hookTimeoutMs: 600_000 },
  );
  const gone = await openSession();
  gone.call('tools/call', { name: 'wait', arguments: {} }).catch(() => {});
  await until(() => lines.some((line) => line.includes('began wait')));
  gone.close();
  const late = client({ timeoutMs: 30_000 });
  const initialized = late.initialize();
  await until(() => stdio.figures().waiting === 1);
  for (let n = 0; n < 11; n += 1) await time.advance(5_000);
  expect(stdio.figures()).toMatchObject({ waiting: 1, alive: 1 });
  for (let n = 0; n < 3; n += 1) await time.advance(5_000);
  expect((await initialized).message.error).toBeUndefined();
  expect(await call(late, 'count')).toBe('1');
});

test('what a user sets while a child starts reaches it', async () => {
  const file = join(temporaryFolder(), 'patient');
  writeFileSync(file, '');
  const { client, lines } = await serveScripted({ words: ['patient', file] }, { auth });
  const ann = client(as('ann'));
  const listen = async (uri: string): Promise<void> => {
    const notifications = { resourceSubscriptions: [uri] };
    await (await postModern(ann, 'subscriptions/listen', { notifications })).nextMessage();
  };
  await listen('mem://a');
  await until(() => lines.some((line) => line.includes('set mem://a')));
  await listen('mem://b');
  const meta = { 'io.modelcontextprotocol/logLevel': 'error' };
  const looking = callModern(ann, 'tools/call', { name: 'look', arguments: {} }, { meta });
  await listen('mem://c');
  unlinkSync(file);
  const { level, uris } = JSON.parse(textIn((await looking).message)) as Looked;
  expect({ level, uris: uris.slice(0, 2) }).toEqual({
    level: 'error',
    uris: ['mem://a', 'mem://b'],
  });
});

test('a session whose child makes room hibernates, unless its client reads its stream', async () => {
  // Each is kept for as long as its start took: it takes as long for all, so that the oldest makes room.
  const program = { maxChildren: 2, words: ['heavy'] };
  const { client, endpoint, stdio } = await serveScripted(program, { auth });
  const openAs = async (user: string): Promise<RawClient> => {
    const session = client(as(user));
    await session.initialize();
    return session;
  };
  const statuses = async (): Promise<object> => {
    const { sessions } = await endpoint.sessions.list();
    return Object.fromEntries(sessions.map(({ userName, status }) => [userName, status]));
  };
  const [ann, bob] = [await openAs('ann'), await openAs('bob')];
  await ann.get();
  await openAs('cat');
  await openAs('dan');
  const expected = { ann: 'live', bob: 'hibernated', cat: 'live', dan: 'live' };
  await until(async () => (await statuses())['bob' as never] === 'hibernated');
  expect(await statuses()).toEqual(expected);
  expect(stdio.figures().alive).toBe(2);
  expect(await call(bob, 'count')).toBe('1');
  expect(await statuses()).toMatchObject({ ann: 'live', bob: 'live', cat: 'hibernated' });
});

describe('tools', () => {
  const names = async (client: RawClient): Promise<Record<string, object>> => {
    const { tools } = (await client.call('tools/list')).message.result as {
      tools: { name: string }[];
    };
    return Object.fromEntries(tools.map((tool) => [tool.name, tool]));
  };

  test('only those that the patterns name exist, in lists and calls', async () => {
    const { openSession } = await serveScripted({ tools: ['e*o', 'cou*'] });
    const session = await openSession();
    expect(Object.keys(await names(session))).toEqual(['echo', 'count']);
    const { message } = await session.call('tools/call', { name: 'look', arguments: {} });
    expect(message.error).toMatchObject({ code: -32_602, message: 'Tool look not found' });
  });

  test('B242 run once for each value of an argument', async () => {
    const { openSession } = await serveScripted({ toolsOnce: ['count:order'] });
    const session = await openSession();
    expect(await names(session)).toMatchObject({ count: { _meta: { 'sojourn/once': true } } });
    const order = (value: string): Promise<string> => call(session, 'count', { order: value });
    expect([await order('a'), await order('a'), await order('b')]).toEqual(['1', '1', '2']);
  });

  test('that may run again after a crash say so to the endpoint', async () => {
    const { openSession } = await serveScripted({ toolsAfterCrashRun: ['count'] });
    expect(await names(await openSession())).toMatchObject({
      count: { annotations: { idempotentHint: true } },
    });
  });

  test('become tasks for clients that take tasks', async () => {
    const { client } = await serveScripted({ toolsAsTasks: ['wait'] }, { auth, tasks: {} });
    const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } } as never;
    const params = { name: 'wait', arguments: { ms: 300 } };
    const made = await callModern(client(as('ann')), 'tools/call', params, { capabilities });
    const { taskId } = made.message.result as { taskId: string };
    const get = async () =>
      (await callModern(client(as('ann')), 'tasks/get', { taskId }, { capabilities })).message
        .result;
    await until(async () => ((await get()) as { status: string }).status === 'completed');
    expect(JSON.stringify(await get())).toContain('waited');
  });
});
