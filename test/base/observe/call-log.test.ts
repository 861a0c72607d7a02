/** Who did what: one line and one notice for each run of a call, at the instance that ran it, in both eras. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jsonLogger } from '../../../src/cli/log.ts';
import type { Notice } from '../../../src/index.ts';
import { type Member, serveFleet, serveMember } from '../../kit/fleet.ts';
import { createLab, tool, upTo } from '../../kit/lab.ts';
import { hashOf } from '../../kit/log.ts';
import { callModern, postModern } from '../../kit/modern.ts';
import type { JsonRpcAnswer, RawClient } from '../../kit/raw-client.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { until } from '../../kit/until.ts';
import { cut, mend, watchedStore } from '../../kit/watched-store.ts';

useSharedStores();

type Ended = Extract<Notice, { readonly kind: 'callEnded' }>;

const CALLS = 1_000;
const AT_ONCE = 40;
const USERS = ['alice', 'bob', 'carol'];
const METHODS: ReadonlyArray<readonly [method: string, params?: object]> = [
  tool('echo', { text: 'x' }),
  tool('echo', { text: 1 }),
  tool('who'),
  tool('no-such-tool'),
  ['tools/list'],
  ['resources/read', { uri: 'note://a' }],
  ['no/such/method'],
];

const linesOf = (member: Member) => member.log.matching(/^call$/).map(({ fields }) => fields);
const sorted = (texts: readonly string[]) => texts.toSorted();
const outcomeOf = ({ result, error }: JsonRpcAnswer): unknown[] =>
  error === undefined
    ? [result?.['isError'] === true ? 'tool_error' : 'ok']
    : ['error', error.code];

test('1,000 calls of three users in both eras, relayed and not, are 1,000 lines and 1,000 notices that say who, what and how', async () => {
  const noticed: Ended[] = [];
  const observe = (notice: Notice) => void (notice.kind === 'callEnded' && noticed.push(notice));
  const settings = { face: 'node', auth: userHeader } as const;
  const fleet = await serveFleet(2, { callLog: true, observe }, [settings, settings]);
  const clients: RawClient[][] = [];
  for (const [n, user] of USERS.entries()) {
    const headers = { 'x-user': user };
    const session = await (fleet[n % 2] as Member).openSession({}, { headers });
    clients.push(fleet.map((member) => member.join(session, { headers })));
  }
  const opened = fleet.flatMap(linesOf);
  expect(opened.map(({ userName, method, outcome }) => [userName, method, outcome])).toEqual(
    expect.arrayContaining(USERS.map((user) => [user, 'initialize', 'ok'])),
  );

  const callNumber = async (n: number): Promise<unknown[]> => {
    const who = n % USERS.length;
    const client = clients[who]?.[n % 2] as RawClient;
    const [method, params] = METHODS[n % METHODS.length] ?? ['ping'];
    const isModern = n % 5 < 2;
    const { message } = isModern
      ? await callModern(client, method, params as never, { sessionId: null })
      : await client.call(method, params);
    const called = Object.entries(params ?? {}).find(([key]) => key === 'name')?.[1] ?? null;
    const from = isModern ? ['modern-client', null] : ['raw-client', hashOf(client.sessionId)];
    return [USERS[who], `${from[0]} 0.0.0`, from[1], method, called, ...outcomeOf(message)];
  };
  const expected: unknown[][] = [];
  for (let n = 0; n < CALLS; n += AT_ONCE)
    expected.push(...(await Promise.all(upTo(n + AT_ONCE, n).map(callNumber))));
  const lines = fleet.flatMap((member) =>
    linesOf(member).filter(({ method }) => method !== 'initialize'),
  );
  const said = lines.map(
    ({ userName, client, sessionId = null, method, tool: called = null, outcome, error }) =>
      [userName, client, sessionId, method, called, outcome, error].filter(
        (one) => one !== undefined,
      ),
  );
  expect(sorted(said.map(String))).toEqual(sorted(expected.map(String)));
  for (const member of fleet)
    for (const line of linesOf(member))
      expect(line).toMatchObject({ instance: member.id, run: 1, ms: expect.any(Number) as number });
  expect(
    sorted(noticed.map(({ method, outcome, instance }) => [method, outcome, instance].join(' '))),
  ).toEqual(
    sorted(
      fleet
        .flatMap(linesOf)
        .map(({ method, outcome, instance }) => [method, outcome, instance].join(' ')),
    ),
  );
});

test('a call whose client leaves has its line when it ends: with a session that of its answer', async () => {
  const [served] = await serveFleet(1, { callLog: true });
  const one = await served.openSession();
  const left = await one.post({ jsonrpc: '2.0', id: 'x', ...callOf('hold') });
  const held = await served.lab.held(0);
  left.abort();
  held.answer('done');
  const leaving = new AbortController();
  const modern = postModern(served.client(), ...tool('hold'), { signal: leaving.signal });
  const late = await served.lab.held(1);
  leaving.abort();
  await expect(modern).rejects.toThrow();
  const calls = () => linesOf(served).filter(({ method }) => method === 'tools/call');
  await until(() => calls().length === 2, { what: 'two lines' });
  late.answer('late');
  expect(calls().map(({ sessionId, outcome }) => [sessionId, outcome])).toEqual([
    [hashOf(one.sessionId), 'ok'],
    [undefined, 'cancelled'],
  ]);
});

/** The command under "Audit", which has a block for a shell. */
const audit = /## Audit[^]*?```sh\n([^`]*jq[^`]*)```/.exec(
  readFileSync(new URL('../../../docs/guide/operations.md', import.meta.url), 'utf8'),
)?.[1];
const noJq = spawnSync('jq', ['--version']).error !== undefined;

test.skipIf(noJq)(
  'the command of the page "Operations" shows who called what, and how it ended',
  async () => {
    const folder = temporaryFolder();
    const lines: string[] = [];
    const logger = jsonLogger({ level: 'info' }, { write: (line) => lines.push(line) });
    const served = await serve(
      createLab().factory,
      { logger, callLog: true, accessLog: true },
      { face: 'node', auth: userHeader },
    );
    const one = await served.openSession({}, { headers: { 'x-user': 'alice' } });
    await one.call(...tool('echo', { text: 'x' }));
    await callModern(served.client({ headers: { 'x-user': 'bob' } }), ...tool('echo', { text: 1 }));
    await until(() => lines.filter((line) => line.includes('"msg":"call"')).length === 3);
    await until(() => lines.some((line) => /"userName":"bob".*"msg":"request"/.test(line)));
    writeFileSync(join(folder, 'server.log'), lines.join(''));
    const { stdout } = spawnSync('sh', ['-c', String(audit)], { cwd: folder, encoding: 'utf8' });
    const rows = stdout
      .trim()
      .split('\n')
      .map((row) => row.split('\t'));
    expect(rows.map(([, ...row]) => row)).toEqual([
      ['alice', 'raw-client 0.0.0', hashOf(one.sessionId), 'tools/call', 'echo', 'ok'],
      ['bob', 'modern-client 0.0.0', 'no session', 'tools/call', 'echo', 'tool_error'],
    ]);
    expect(rows.every(([time]) => Math.abs(Date.parse(String(time)) - Date.now()) < 60_000)).toBe(
      true,
    );
  },
);

test('a call that its instance died with has a line "lost" at the instance that finds it, and its next run another', async () => {
  const connect = sharedStore('sqlite');
  const store = watchedStore({ durable: true, inner: connect() });
  const [a, b] = [
    await serveMember({ store, leaseMs: 1_000, maxWaitMs: 0 }),
    await serveMember({ store: connect(), leaseMs: 1_000, callLog: true }),
  ];
  const one = await a.openSession();
  const held = one.call(...tool('hold')).catch(() => {});
  await a.lab.held();
  const instance = a.id;
  cut(store);
  await b.join(one).call(...tool('count'));
  expect(linesOf(b)).toMatchObject([
    {
      method: 'tools/call',
      tool: 'hold',
      outcome: 'lost',
      runsAgain: false,
      sessionId: hashOf(one.sessionId),
      client: 'raw-client 0.0.0',
      run: 1,
      instance,
    },
    { method: 'tools/call', tool: 'count', outcome: 'ok', run: 2 },
  ]);
  mend(store);
  (await a.lab.held()).answer('late');
  await held;
});

const callOf = (name: string) => ({ method: 'tools/call', params: { name, arguments: {} } });
