/** Clients of both eras in front of programs of both eras. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { callModern } from '../kit/modern.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { connectNegotiating, connectV1, connectV2 } from '../clients/official.ts';
import { as, auth, type Looked, marked, serveScripted } from './serving.ts';

const people = {
  elicit: () => ({ action: 'accept', content: { name: 'Ann' } }),
  sample: () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'hello' } }),
  roots: () => ({ roots: [{ uri: 'file:///a' }] }),
};
const CAN = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

const clients = { v1: connectV1, v2: connectV2, '2026-07-28': connectNegotiating };
const programs = { '2025': [], 'both eras': ['modern'], '2026-07-28 alone': ['modern', 'only'] };
const pairs = Object.entries(programs).flatMap(([program, words]) =>
  Object.entries(clients).map(([client, connect]) => ({ program, client, words, connect })),
);

test.each(pairs)(
  'a client $client of a program of $program: questions, progress, cancel, log, lists, changes',
  async ({ client: name, words, connect }) => {
    const { url, lines } = await serveScripted({ words }, { auth });
    const client = await connect(url, { ...people, headers: { authorization: 'Bearer ann' } });
    expect(client.protocolVersion()).toBe(name === '2026-07-28' ? '2026-07-28' : '2025-11-25');
    expect(client.client.getServerVersion()).toMatchObject({ name: 'scripted' });
    const { tools } = await client.client.listTools();
    expect(tools.map((tool) => tool.name)).toContain('askInTurn');
    for (const kinds of [['elicit'], ['elicit', 'elicit'], ['elicit', 'sample', 'roots']] as const)
      expect(JSON.parse(await client.say('ask', { kinds }))).toEqual(
        kinds.map((kind) => people[kind]()),
      );
    const progress: number[] = [];
    await client.say('progress', {}, { onprogress: (got) => void progress.push(got.progress) });
    expect(progress).toEqual([1]);
    await expect(client.callTool('no such tool')).rejects.toThrow('no such tool');
    const controller = new AbortController();
    const call = client.callTool('wait', {}, { signal: controller.signal });
    const waiting = until(() => lines.some((line) => line.includes('began wait')));
    void waiting.then(() => controller.abort());
    await expect(call).rejects.toThrow();
    await until(() => lines.some((line) => line.includes('cancelled wait')));
    if (name === '2026-07-28')
      await client.listen({ toolsListChanged: true, resourceSubscriptions: ['mem://a'] });
    else await client.listening;
    if (name !== '2026-07-28') await client.client.subscribeResource({ uri: 'mem://a' });
    await client.say('change');
    await client.say('update', { uri: 'mem://a' });
    const updates = () => client.notifications('notifications/resources/updated');
    await until(() => updates().length > 0);
    expect(updates()[0]?.params).toMatchObject({ uri: 'mem://a' });
    await until(() => client.notifications('notifications/tools/list_changed').length > 0);
    if (name === '2026-07-28') return;
    await client.client.setLoggingLevel('debug');
    await client.say('log');
    expect(client.notifications('notifications/message')).toHaveLength(1);
  },
);

test('a client of 2026-07-28 that is sent to a page comes back, and the call runs then', async () => {
  const { url } = await serveScripted();
  const asked: unknown[] = [];
  const client = await connectNegotiating(url, {
    elicit: (params) => (asked.push(params['url']), { action: 'accept' }),
  });
  expect(await client.say('url', { file: join(temporaryFolder(), 'been') })).toBe('been there');
  expect(asked).toEqual(['https://a.example/']);
});

test('a client of 2026-07-28 tells its roots before the first call, also where a list started the child', async () => {
  const { url } = await serveScripted({ words: ['curious'] }, { auth });
  for (const user of ['ann', 'bob']) {
    const headers = { authorization: `Bearer ${user}` };
    const client = await connectNegotiating(url, { ...people, headers });
    if (user === 'bob') await client.client.listTools();
    expect(JSON.parse(await client.say('look'))).toMatchObject(people.roots());
  }
});

test('log messages reach a client of 2026-07-28 from the level that the call names', async () => {
  const { client } = await serveScripted();
  const call = async (level: string) => {
    const meta = { 'io.modelcontextprotocol/logLevel': level };
    return (await callModern(client(), 'tools/call', { name: 'log', arguments: {} }, { meta }))
      .response.body;
  };
  expect(await call('info')).toContain('logged');
  expect(await call('error')).not.toContain('logged');
});

test.each(Object.entries(programs))(
  'log messages of a program of %s that does not declare logging reach clients of both eras, from their level on',
  async (_, more) => {
    const store = () => sqlite(file);
    const file = join(temporaryFolder(), 'sessions.db');
    const words = [...more, 'undeclared'];
    let served = await serveScripted({ words }, { store: store() });
    const client = await connectV2(served.url, { route: () => served.url });
    const heard = async (): Promise<number> => {
      await client.say('log');
      return client.notifications('notifications/message').length;
    };
    expect(await heard()).toBe(1);
    await client.client.setLoggingLevel('error');
    expect(await heard()).toBe(1);
    await served.endpoint.close();
    served = await serveScripted({ words }, { store: store() });
    expect(await heard()).toBe(1);
    await client.client.setLoggingLevel('info');
    expect(await heard()).toBe(2);
    const modern = async (meta: object) =>
      (
        await callModern(
          served.client(),
          'tools/call',
          { name: 'log', arguments: {} },
          { meta: { ...meta } },
        )
      ).response.body;
    const named = (level: string) => modern({ 'io.modelcontextprotocol/logLevel': level });
    expect(await named('info')).toContain('logged');
    expect([await named('error'), await modern({})].join('')).not.toContain('logged');
  },
);

test.each(Object.entries(programs))(
  'B162 a program of %s, before any client listed its tools: an argument without its header, or with another, runs nothing',
  async (_, words) => {
    const ran = [{ type: 'text', text: '1' }];
    for (const [toolsAsTasks, answer] of [
      [[], ran],
      [['count'], 'working'],
    ] as const) {
      const { client } = await serveScripted({ words, toolsAsTasks }, { auth, tasks: {} });
      const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } } as never;
      const call = async (sent: Record<string, string>) => {
        const params = { name: 'count', arguments: { in: 'here' } };
        const headers = { ...as('ann').headers, ...sent };
        const given = { headers, capabilities };
        const { response, message } = await callModern(client(), 'tools/call', params, given);
        const { content, status } = Object(message.result) as Record<string, unknown>;
        return [response.status, message.error?.code ?? content ?? status];
      };
      const refused = [400, -32_020];
      expect(await call({})).toEqual(refused);
      expect(await call({ 'mcp-param-in': 'there' })).toEqual(refused);
      expect(await call({ 'mcp-param-in': 'here' })).toEqual([200, answer]);
    }
  },
);

describe.each(Object.entries(programs))('errors of a program of %s', (_, words) => {
  test('a resource that it does not find is -32002 for clients of 2025, and -32602 for those of 2026-07-28', async () => {
    const { client, openSession } = await serveScripted({ words });
    const params = { uri: 'mem://none' };
    const error = { code: -32_002, message: 'Resource not found', data: params };
    const session = await openSession();
    expect((await session.call('resources/read', params)).message.error).toEqual(error);
    const { message } = await callModern(client(), 'resources/read', params);
    expect(message.error).toEqual({ ...error, code: -32_602 });
  });

  test('a method that it lacks is 404 for clients of 2026-07-28', async () => {
    const { client } = await serveScripted({ words });
    for (const method of ['prompts/list', 'no/such']) {
      const { response, message } = await callModern(client(), method);
      expect([response.status, message.error?.code]).toEqual([404, -32_601]);
    }
  });
});

test('a program that refuses newer versions gets an older one, again after it died', async () => {
  const { url } = await serveScripted({ words: ['old'] });
  const client = await connectV2(url);
  expect(client.protocolVersion()).toBe('2025-03-26');
  const look = async (): Promise<Looked> => JSON.parse(await client.say('look')) as Looked;
  const { pid } = await look();
  process.kill(pid, 'SIGKILL');
  await until(async () => (await look()).pid !== pid);
  expect(await (await connectNegotiating(url)).say('count')).toBe('1');
});

describe('rounds', () => {
  const keys = { secrets: ['k'.repeat(32)] };
  type Asked = {
    inputRequests: Record<string, { method: string }>;
    requestState: string;
    content?: [{ text: string }];
  };

  async function round(
    of: Awaited<ReturnType<typeof serveScripted>>,
    name: string,
    more: object = {},
  ) {
    const params = { name, arguments: {}, ...more };
    const { message } = await callModern(of.client(), 'tools/call', params, { capabilities: CAN });
    return message as unknown as { result?: Asked; error?: { code: number; data?: object } };
  }

  test('B252 after a restart nobody is asked twice', async () => {
    const first = await serveScripted({}, keys);
    const asked = (await round(first, 'askInTurn')).result as Asked;
    const [name = ''] = Object.keys(asked.inputRequests);
    await first.endpoint.close({ timeoutMs: 0 });
    await first.stdio.close();
    const next = await serveScripted({}, keys);
    const given = { inputResponses: { [name]: people.elicit() }, requestState: asked.requestState };
    const then = (await round(next, 'askInTurn', given)).result as Asked;
    expect(Object.values(then.inputRequests).map(({ method }) => method)).toEqual([
      'sampling/createMessage',
    ]);
    const [last = ''] = Object.keys(then.inputRequests);
    const end = { inputResponses: { [last]: people.sample() }, requestState: then.requestState };
    const { content } = (await round(next, 'askInTurn', end)).result as Asked;
    expect(JSON.parse(content?.[0].text ?? '')).toEqual([people.elicit(), people.sample()]);
  });

  test('B252 a call that may not run twice ends when its run is lost', async () => {
    const first = await serveScripted({ toolsAfterCrashRun: [] }, keys);
    const words = { name: 'askLoudly' };
    const asked = (await round(first, words.name)).result as Asked;
    await first.stdio.close();
    const next = await serveScripted({}, keys);
    const given = { inputResponses: { q1: people.elicit() }, requestState: asked.requestState };
    expect((await round(next, words.name, given)).error).toMatchObject({
      code: -32_603,
      data: { reason: 'child_ended', mayHaveRun: true },
    });
  });

  const answersTo = (asked: Asked, answer = people.elicit()) => ({
    inputResponses: Object.fromEntries(
      Object.keys(asked.inputRequests).map((name) => [name, answer]),
    ),
    requestState: asked.requestState,
  });

  test('B252 the child of a call that may run twice dies between two rounds, and nobody is asked twice', async () => {
    const mark = `${process.pid}.rounds`;
    const served = await serveScripted({ env: { TEST_OF_ROUNDS: mark } }, keys);
    const children = () => marked('TEST_OF_ROUNDS', mark);
    const first = (await round(served, 'askInTurn')).result as Asked;
    const before = children();
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await until(() => served.lines.some((line) => line.startsWith('A call runs again')));
    await until(() => children().some((pid) => !before.includes(pid)));
    const second = (await round(served, 'askInTurn', answersTo(first))).result as Asked;
    expect(Object.values(second.inputRequests).map(({ method }) => method)).toEqual([
      'sampling/createMessage',
    ]);
    const end = { ...answersTo(second, people.sample() as never) };
    const { content } = (await round(served, 'askInTurn', end)).result as Asked;
    expect(JSON.parse(content?.[0].text ?? '')).toEqual([people.elicit(), people.sample()]);
  });

  test('B252 the next round reaches another instance: the call runs again there, or the client gets to know that it may have run', async () => {
    const [first, other] = [await serveScripted({}, keys), await serveScripted({}, keys)];
    const may = (await round(first, 'askInTurn')).result as Asked;
    const { result } = await round(other, 'askInTurn', answersTo(may));
    expect(Object.values((result as Asked).inputRequests).map(({ method }) => method)).toEqual([
      'sampling/createMessage',
    ]);
    const mayNot = (await round(first, 'askLoudly')).result as Asked;
    expect((await round(other, 'askLoudly', answersTo(mayNot))).error).toMatchObject({
      code: -32_603,
      data: { reason: 'child_ended', mayHaveRun: true },
    });
    // The run still waits at the first instance.
    const { content } = (await round(first, 'askLoudly', answersTo(mayNot))).result as Asked;
    expect(JSON.parse(content?.[0].text ?? '')).toEqual(people.elicit());
  });

  test('a state counts for the call that it was made for', async () => {
    const served = await serveScripted({}, keys);
    const { requestState } = (await round(served, 'askInTurn')).result as Asked;
    expect((await round(served, 'echo', { requestState })).error?.code).toBe(-32_602);
  });
});

test('without a user each call of 2026-07-28 has a child of its own, and lists share one', async () => {
  const { client, stdio } = await serveScripted();
  const look = async (): Promise<Looked> => {
    const { message } = await callModern(client(), 'tools/call', { name: 'look', arguments: {} });
    return JSON.parse(
      (message.result as { content: [{ text: string }] }).content[0].text,
    ) as Looked;
  };
  const [first, second] = [await look(), await look()];
  expect(first.pid).not.toBe(second.pid);
  for (let n = 0; n < 3; n += 1) await callModern(client(), 'tools/list');
  await until(() => stdio.figures().alive === 1);
});
