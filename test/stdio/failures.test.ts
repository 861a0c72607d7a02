/** What a client of 2025 gets when something happens to its child. */
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { textOf } from '../kit/lab.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import {
  connectNegotiating,
  connectV1,
  connectV2,
  type OfficialClient,
  sessionClients,
} from '../clients/official.ts';
import { type Looked, SCRIPTED, serveScripted } from './serving.ts';

const people = {
  elicit: () => ({ action: 'accept', content: { name: 'Ann' } }),
  sample: () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'hello' } }),
  roots: () => ({ roots: [{ uri: 'file:///a' }] }),
};

const look = async (client: OfficialClient): Promise<Looked> =>
  JSON.parse(await client.say('look')) as Looked;

/** The error of a call: its code, its message and its data. */
const failure = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause as { code: number; message: string; data: unknown },
  );
  return error && { code: error.code, message: error.message, data: error.data };
};

const ended = (how: string, mayHaveRun = true) => ({
  code: -32_603,
  message: expect.stringContaining(`node ended: ${how}`),
  data: { reason: 'child_ended', mayHaveRun },
});

describe('a child that is killed while nothing runs', () => {
  test.each(sessionClients)(
    'B239 %s: the next call has a new child with all that its client set',
    async (_, connect) => {
      const { url } = await serveScripted();
      const client = await connect(url, people);
      await client.client.setLoggingLevel('error');
      await client.client.subscribeResource({ uri: 'mem://a' });
      const { pid } = await look(client);
      await client.say('count');
      process.kill(pid, 'SIGKILL');
      await until(async () => (await look(client)).pid !== pid);
      expect(await look(client)).toMatchObject({
        level: 'error',
        uris: ['mem://a'],
        hello: ['official-client', 'sampling', 'elicitation', 'roots'],
        count: 0,
      });
    },
  );

  test.each(sessionClients)(
    '%s: the first call in each child finds the roots for which it asked',
    async (_, connect) => {
      const file = join(temporaryFolder(), 'sessions.db');
      const words = ['curious'];
      let served = await serveScripted({ words }, { store: sqlite(file) });
      let isListening = true;
      const client = await connect(served.url, {
        ...people,
        route: () => served.url,
        fetch: async (url, init) =>
          isListening || init?.method !== 'GET'
            ? fetch(url, init)
            : new Response(null, { status: 405 }),
      });
      const { pid, roots } = await look(client);
      expect(roots).toEqual(people.roots().roots);
      process.kill(pid, 'SIGKILL');
      await until(() => served.lines.some((line) => line.startsWith('A child ended')));
      expect(await look(client)).toMatchObject(people.roots());
      // The stream of the call carries the question.
      isListening = false;
      await served.endpoint.close();
      served = await serveScripted({ words }, { store: sqlite(file) });
      expect(await look(client)).toMatchObject(people.roots());
    },
  );
});

test('a program has time to use an answer that came before that of the ping', async () => {
  const { url } = await serveScripted({ words: ['curious', 'slow'] });
  const client = await connectV2(url, people);
  expect(await look(client)).toMatchObject(people.roots());
});

test.each(sessionClients)(
  '%s without a GET stream: its first request carries what the program asked at its start',
  async (_, connect) => {
    const { url } = await serveScripted({ words: ['curious'] });
    const client = await connect(url, { ...people, withoutGet: true });
    expect(await look(client)).toMatchObject(people.roots());
    expect(await look(client)).toMatchObject({ count: 0 });
  },
);

describe('a child that ends in a call', () => {
  const once = (): { file: string } => ({ file: join(temporaryFolder(), 'ran') });
  /** The pool looks as often as a child may be idle. */
  const LIMITED = { childMemoryBytes: 300e6, childIdleTimeoutMs: 1_000 };
  const RUN_AGAIN = { toolsAfterCrashRun: ['die*'] };

  test('B240 a call that may run twice runs again', async () => {
    const { url, lines } = await serveScripted();
    const client = await connectV2(url);
    await client.client.listTools();
    expect(await client.say('dieOnce', once())).toBe('second run');
    expect(lines.join('\n')).toContain('A call runs again: its child ended');
  });

  test.each([
    ['that may not run twice', {}, 'die', ended('exit code 3')],
    ['that may, and ends the second child too', RUN_AGAIN, 'die', ended('exit code 3')],
    ['whose child writes a line of 34 MiB', {}, 'long', ended('it wrote a line of over')],
    ['whose child writes JSON of 100,000 levels', {}, 'deep', ended('it wrote JSON of more')],
    ['whose child holds more memory than it may', LIMITED, 'grow', ended('its processes held')],
  ])(
    'B241 a call %s ends with the reason, and the session goes on',
    async (_, options, tool, expected) => {
      const { url } = await serveScripted(options);
      const client = await connectV2(url);
      const found = await failure(client.callTool(tool, { megabytes: 400 }));
      expect(found).toEqual(expected);
      expect(found?.message).not.toContain('secret words');
      expect(await client.say('count')).toBe('1');
    },
  );

  test('B243 a child that does not read what it is sent is killed', async () => {
    const { url } = await serveScripted({}, { limits: { bodyBytes: 64 * 1024 * 1024 } });
    const client = await connectV2(url);
    const text = 'x'.repeat(12 * 1024 * 1024);
    const calls = [failure(client.callTool('deaf'))];
    for (let n = 0; n < 4; n += 1) calls.push(failure(client.callTool('echo', { text })));
    expect(await calls[0]).toEqual(ended('it does not read what it is sent'));
    await Promise.all(calls);
  });
});

test('B244 a line that is no JSON is logged, and the call goes on', async () => {
  const { url, lines } = await serveScripted();
  expect(await (await connectV1(url)).say('noise')).toBe('heard');
  expect(lines.join('\n')).toContain('no JSON');
});

test.each([
  ['2025', []],
  ['2026-07-28', ['modern', 'only']],
])(
  'a program of %s that refuses to list its tools serves the rest, and no tool runs twice until it lists them',
  async (_, words) => {
    const file = join(temporaryFolder(), 'signed-out');
    writeFileSync(file, '');
    const { url, lines } = await serveScripted({ words: [...words, 'signedOut', file] });
    for (const connect of [connectV2, connectNegotiating]) {
      const client = await connect(url);
      const { resources } = await client.client.listResources();
      expect(resources).toHaveLength(1);
      expect(await failure(client.client.listTools())).toEqual({
        code: -32_001,
        message: expect.stringContaining('sign in first'),
        data: { at: 'https://a.example/' },
      });
      const once = { file: join(temporaryFolder(), 'ran') };
      expect(await failure(client.callTool('dieOnce', once))).toEqual(ended('exit code 1'));
    }
    expect(lines.join('\n')).toMatch(/did not list its tools.*sign in first/);
    unlinkSync(file);
    const client = await connectV2(url);
    await client.client.listTools();
    const once = { file: join(temporaryFolder(), 'ran') };
    expect(await client.say('dieOnce', once)).toBe('second run');
  },
);

describe('a child that does not start', () => {
  test.each([
    ['says how it ended', {}, 'sh ended: exit code 3', /^(?!.*API_KEY)/],
    [
      'and, if allowed, what it wrote',
      { stderrToClients: true },
      'it wrote: cannot find API_KEY',
      /./,
    ],
  ])('B245 the answer to initialize %s', async (_, options, text, pattern) => {
    const file = join(temporaryFolder(), 'first');
    const script = `test -e ${file} && { echo cannot find API_KEY >&2; exit 3; }; touch ${file}; exec "$@"`;
    // It starts for the probe, and no more.
    const args = ['-c', script, 'sh', process.execPath, SCRIPTED];
    const { client } = await serveScripted({ ...options, era: 'legacy', command: '/bin/sh', args });
    const { message } = await client().initialize();
    expect(message.error).toMatchObject({ code: -32_603, message: expect.stringContaining(text) });
    expect(message.error?.message).toMatch(pattern);
  });

  test('a program that never lists its tools is served after a limit, and a line says so', async () => {
    const { url, lines } = await serveScripted({ words: ['mute'], childStartMs: 2_000 });
    const client = await connectV2(url);
    expect(await client.say('count')).toBe('1');
    expect(lines.join('\n')).toMatch(/did not list its tools.*no answer within 2000 ms/);
  });

  test('a command that is not found rejects the probe at once', async () => {
    const { stdio } = await serveScripted({ command: 'no-such-command' });
    await expect(stdio.probe()).rejects.toThrow('command not found: no-such-command');
  });

  test('B247 a child that dies five times in a minute is not started again', async () => {
    const { url } = await serveScripted({ toolsAfterCrashRun: ['die'] });
    const client = await connectV2(url);
    for (let n = 0; n < 3; n += 1) await failure(client.callTool('die'));
    expect(await failure(client.callTool('count'))).toMatchObject({
      message: expect.stringContaining('5 times'),
    });
  });
});

describe('what reaches a child', () => {
  test('B248 a second initialize is refused, and the session goes on', async () => {
    const { openSession } = await serveScripted();
    const client = await openSession();
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'second', version: '1' },
    };
    const { message } = await client.call('initialize', params);
    expect(message.error?.code).toBe(-32_600);
    const { message: seen } = await client.call('tools/call', { name: 'look', arguments: {} });
    expect(JSON.stringify(seen)).not.toContain('second');
  });

  test.each([[true], [false]])(
    'initialized comes before the first request, and once: the client sends it later, %s',
    async (isLater) => {
      const { openSession } = await serveScripted({ words: ['strict'] });
      const client = await openSession({ initialized: false });
      await client.call('ping');
      const seen = async (): Promise<Looked> =>
        JSON.parse(
          String(textOf((await client.call('tools/call', { name: 'look' })).message)),
        ) as Looked;
      expect(await seen()).toMatchObject({ initialized: 1 });
      if (isLater) await client.notify('notifications/initialized');
      expect(await seen()).toMatchObject({ initialized: 1 });
    },
  );

  test('questions, progress, log messages and list changes reach the client, and its answers the child', async () => {
    const { url } = await serveScripted();
    for (const [, connect] of sessionClients) {
      const client = await connect(url, people);
      await client.listening;
      const kinds = ['elicit', 'sample', 'roots'];
      expect(JSON.parse(await client.say('ask', { kinds }))).toEqual([
        people.elicit(),
        people.sample(),
        people.roots(),
      ]);
      const progress: number[] = [];
      await client.say('progress', {}, { onprogress: (got) => void progress.push(got.progress) });
      expect(progress).toEqual([1]);
      await client.say('log');
      await client.say('change');
      await until(() => client.notifications('notifications/tools/list_changed').length === 1);
      expect(client.notifications('notifications/message')).toHaveLength(1);
    }
  });

  test('progress of the client about a question reaches the child, with its own token', async () => {
    const { openSession } = await serveScripted();
    const client = await openSession({ capabilities: { sampling: {} } });
    const id = client.nextId();
    const params = { name: 'askSlowly', arguments: {} };
    const stream = await client.post({ jsonrpc: '2.0', id, method: 'tools/call', params });
    const asked = await stream.nextMessage();
    const { progressToken } = Object(asked.params?.['_meta']) as { progressToken: unknown };
    await client.notify('notifications/progress', { progressToken, progress: 1, total: 2 });
    await client.post({ jsonrpc: '2.0', id: asked.id, result: people.sample() });
    expect(JSON.parse(String(textOf(await stream.nextMessage())))).toEqual([
      people.sample(),
      [{ progressToken: 'mine', progress: 1, total: 2 }],
    ]);
  });

  test('a call that is cancelled is cancelled in the child', async () => {
    const { url, lines } = await serveScripted();
    const client = await connectV2(url);
    const controller = new AbortController();
    const call = failure(client.callTool('wait', {}, { signal: controller.signal }));
    await until(async () => (await look(client)).pid > 0);
    controller.abort();
    expect(await call).toBeDefined();
    await until(() => lines.some((line) => line.includes('cancelled wait')));
  });
});

describe('a call that runs once for its key', () => {
  const ONCE = { toolsOnce: ['die:order', 'count:order'] };
  const order = { order: 'a' };

  test('B242 does not run again when its child ended in it', async () => {
    const { url } = await serveScripted(ONCE);
    const client = await connectV2(url);
    const first = await failure(client.callTool('die', order));
    const { pid } = await look(client);
    expect([first, await failure(client.callTool('die', order))]).toEqual([
      ended('exit code 3'),
      ended('exit code 3'),
    ]);
    expect((await look(client)).pid).toBe(pid);
  });

  test('B242 runs when it is sent again, if its child did not start', async () => {
    const file = join(temporaryFolder(), 'starts');
    // The probe starts it, the session, and then the call.
    const script = `echo >> ${file}; test $(wc -l < ${file}) = 3 && exit 3; exec "$@"`;
    const args = ['-c', script, 'sh', process.execPath, SCRIPTED];
    const program = { ...ONCE, era: 'legacy', command: '/bin/sh', args } as const;
    const { url, lines } = await serveScripted(program);
    const client = await connectV2(url);
    process.kill((await look(client)).pid, 'SIGKILL');
    await until(() => lines.some((line) => line.startsWith('A child ended')));
    expect(await failure(client.callTool('count', order))).toMatchObject({
      data: { reason: 'child_ended', mayHaveRun: false },
    });
    expect(await client.say('count', order)).toBe('1');
  });
});
