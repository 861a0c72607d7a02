// @module-tag matrix
/**
 * One user with as many tasks as an instance lets run, each as large as it may be, on a store in the process and on one
 * outside: a process with a heap of 512 MB survives, and serves another user.
 */
import { describe, expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { type Answer, Caller } from './processes/caller.ts';
import { startSmallHeap, times, underAttack } from './small-heap.ts';

const DECLARED = { extensions: { 'io.modelcontextprotocol/tasks': {} }, elicitation: { form: {} } };
const TASKS = 400;
const LONG_MS = 30_000;
/** How often results of 4 MB are asked for, 250 at once. */
const ASKED = 500;

function ask(caller: Caller, method: string, of: object): Promise<Answer> {
  const params = { ...of, _meta: envelope(DECLARED) };
  return caller.rpc(method, params, mirrored(method, params) as Record<string, string>);
}

const taskIn = ({ text }: Answer): string | undefined => /"taskId":"([^"]+)"/.exec(text)?.[1];

/** Starts tasks of one tool, and resolves with the ids of those that were taken. */
async function start(caller: Caller, name: string, args: object, count = TASKS): Promise<string[]> {
  const answers = await times(count, 16, () =>
    ask(caller, 'tools/call', { name, arguments: args }),
  );
  return answers.flatMap((answer) => taskIn(answer) ?? []);
}

const PADDING = 'y'.repeat(240_000);
const KEYS = Object.fromEntries(Array.from({ length: 16_000 }, (_, n) => [`k${n}`, n]));

type Attack = (caller: Caller) => Promise<unknown>;

const ATTACKS: Readonly<Record<string, Attack>> = {
  'steps of 1 MiB': (caller) => start(caller, 'steps', { bytes: 1_000_000, ms: LONG_MS }),
  'values of 1 MiB': (caller) => start(caller, 'values', { bytes: 1_000_000, ms: LONG_MS }),
  'questions of 256 KiB': (caller) => start(caller, 'questions', { bytes: 250_000, ms: LONG_MS }),
  'calls of 256 KiB that wait elsewhere': (caller) =>
    start(caller, 'detaches', { padding: PADDING }),
  'parked tasks that are all answered at once': async (caller) => {
    const ids = await start(caller, 'parks', { bytes: 200_000, padding: PADDING });
    await times(ids.length, 64, async (n) => {
      const inputResponses = { sure: { action: 'accept', content: { text: 'z'.repeat(20_000) } } };
      await ask(caller, 'tasks/update', { taskId: ids[n], inputResponses });
    });
  },
  'results of 4 MB, each asked for by many': async (caller) => {
    const ids = await start(caller, 'result', { bytes: 4_000_000 }, 4);
    await times(ASKED, 250, (n) => ask(caller, 'tasks/get', { taskId: ids[n % ids.length] }));
  },
  'a call of many keys, asked for by many': async (caller) => {
    const [taskId] = await start(caller, 'detaches', KEYS, 1);
    await times(1_000, 250, () => ask(caller, 'tasks/get', { taskId }));
  },
};

async function survives(attack: Attack, store?: string): Promise<void> {
  const server = await startSmallHeap({ tasks: true }, store);
  await underAttack(server, async () => void (await attack(new Caller(server.port, 'attacker'))));
  const other = new Caller(server.port, 'other');
  const isServed = async () =>
    taskIn(await ask(other, 'tools/call', { name: 'detaches', arguments: {} })) !== undefined;
  await until(isServed, { timeoutMs: 60_000, pollMs: 500, what: 'a task of another user' });
  expect(server.alive, server.output).toBe(true);
}

describe('on memory a small heap survives', () => {
  test.each(Object.entries(ATTACKS))('%s', { timeout: 240_000 }, (_name, attack) =>
    survives(attack),
  );
});

// Its answers come later, so that many requests wait at once.
describeWithServer('redis', 'on redis a small heap survives', (redis) => {
  test.each(Object.entries(ATTACKS))('%s', { timeout: 240_000 }, (_name, attack) =>
    survives(attack, redis().url),
  );
});
