/**
 * An independent client of the extension, `@modelcontextprotocol/ext-tasks`, runs every kind of tool. Its schemas
 * validate each answer.
 */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lackOf } from '../../installs/installed.ts';
import { createFixtureServer } from '../../kit/fixture-server.ts';
import { serve } from '../../kit/serve.ts';
import { said, toolServer } from '../../kit/tool-server.ts';
import { type Answers, openTaskSession, schemas, type TaskSession } from './ext-client.ts';
import { Effects, taskServer, taskTool } from './kit.ts';

const lacks = lackOf('ext-tasks');
const opened: TaskSession[] = [];
/** Schemas of the answers, by method. A call has several kinds of answer: only a task is read here. */
const SCHEMAS = {
  'tools/call': 'CreateTaskResultV2Schema',
  'tasks/get': 'GetTaskResultV2Schema',
  'tasks/update': 'UpdateTaskResultV2Schema',
  'tasks/cancel': 'CancelTaskResultV2Schema',
} as const;

async function open(url: string, answers?: Answers): Promise<TaskSession> {
  const made = await openTaskSession(url, answers);
  opened.push(made);
  return made;
}

const methodsOf = ({ exchanges }: TaskSession): string[] =>
  exchanges.map(({ request }) => request.method);

/** Accepts each question, and notes its key. */
function accepting(content: Record<string, unknown>) {
  const asked: string[] = [];
  const answers: Answers = ({ params }, { inputId = '' }) => {
    asked.push(`${inputId}: ${String(params['message'])}`);
    return Promise.resolve({ action: 'accept', content });
  };
  return { asked, answers };
}

const samples = taskTool(
  async (_args, _ctx, own) => {
    own.status('Asks a model');
    const messages = [
      { role: 'user' as const, content: { type: 'text' as const, text: 'Say something' } },
    ];
    const { content } = await own.sample('words', { messages, maxTokens: 9 });
    return { content: [content].flat().filter((block) => block.type === 'text') };
  },
  { pollIntervalMs: 100 },
);

describe.skipIf(lacks !== '')(`the client of ext-tasks${lacks}`, () => {
  let core: Awaited<ReturnType<typeof schemas>>;
  beforeAll(async () => {
    core = await schemas();
  });

  afterEach(() => {
    for (const { request, answer } of opened.splice(0).flatMap(({ exchanges }) => exchanges)) {
      expect(core.hasTaskClientCapabilityV2(request.params)).toBe(true);
      if (answer.kind === 'error') continue;
      if (request.method === 'tools/call' && answer.result['resultType'] !== 'task') continue;
      const schema = core[SCHEMAS[request.method as keyof typeof SCHEMAS]];
      // What a schema does not know, it drops: an answer has no other field.
      expect(schema.parse(answer.result), request.method).toEqual(answer.result);
      if (/update|cancel/.test(request.method))
        expect({ ...answer.result, _meta: 0 }).toEqual({ resultType: 'complete', _meta: 0 });
    }
  });

  async function fixture(answers?: Answers) {
    const { url } = await serve((ctx) => createFixtureServer(ctx), { tasks: true });
    return open(url, answers);
  }

  test('finds the extension, and calls a plain tool', async () => {
    const opens = await fixture();
    const { client, session } = opens;
    expect(core.hasTaskServerCapabilityV2(client.getServerCapabilities())).toBe(true);
    const execution = await session.callTool('greet', { name: 'Ada' });
    expect(execution.kind).toBe('immediate');
    expect((await execution.settle()).outcome).toMatchObject({
      status: 'completed',
      result: said('Hello, Ada!'),
    });
    expect(methodsOf(opens)).toEqual(['tools/call']);
  });

  test('polls tasks to their ends: a result, a tool that fails, and a protocol error', async () => {
    const { session } = await fixture();
    const settled = async (name: string, args = {}) => {
      const execution = await session.callTool(name, args, { task: { preference: 'require' } });
      expect(execution.kind, name).toBe('task');
      return execution.settle();
    };
    const [done, failing, refused] = await Promise.all([
      settled('slow_compute', { seconds: 0.1, label: 'computed' }),
      settled('failing_job'), // `when: 'required'`
      settled('protocol_error_job'),
    ]);
    expect(done.outcome).toMatchObject({ status: 'completed', result: said('computed') });
    expect(done.lastTask).toMatchObject({ status: 'completed' });
    expect(failing.outcome).toMatchObject({
      status: 'completed',
      result: { isError: true, ...said('This job fails') },
    });
    expect(refused.outcome).toMatchObject({
      status: 'failed',
      error: {
        code: -32603,
        message: expect.stringContaining('This job ends with a protocol error'),
      },
    });
  });

  test('answers one question, two at once, and those of a call that becomes a task afterwards', async () => {
    const { asked, answers } = accepting({ confirm: true, name: 'Ada' });
    const opens = await fixture(answers);
    const settled = async (name: string, args = {}) => {
      const execution = await opens.session.callTool(name, args);
      expect(execution.kind, name).toBe('task');
      return (await execution.settle()).outcome;
    };
    const outcomes = await Promise.all([
      settled('confirm_delete', { filename: 'a.txt' }),
      settled('multi_input'),
      settled('test_tool_with_task'),
    ]);
    expect(outcomes).toMatchObject([
      { status: 'completed', result: said('a.txt: accept') },
      { status: 'completed', result: said('accept,accept') },
      { status: 'completed', result: said('Hello, Ada!') },
    ]);
    expect(asked.toSorted()).toEqual([
      'confirm: Delete a.txt?',
      'one: One?',
      'two: Two?',
      expect.stringMatching(/: What is your name\?$/),
    ]);
    expect(methodsOf(opens).filter((method) => method === 'tools/call')).toHaveLength(4);
    expect(methodsOf(opens).filter((method) => method === 'tasks/update')).toHaveLength(2);
  });

  test('answers each of several rounds that ask by one name', async () => {
    const effects = new Effects();
    const { url } = await serve(taskServer(effects), { tasks: true });
    const { asked, answers } = accepting({ ok: true });
    const { session } = await open(url, answers);
    const execution = await session.callTool('asks', { times: 2 });
    expect((await execution.settle()).outcome).toMatchObject({
      status: 'completed',
      result: said('{"ok":true}'),
    });
    expect(asked).toEqual(['sure: Sure?', 'sure.2: Sure?']);
    expect(effects.all).toEqual(['asks 0', 'asks 1', 'asks 2']);
  });

  test('answers a request for sampling, and reads the status of its task', async () => {
    const { url } = await serve(toolServer({ samples }), { tasks: true });
    const answers: Answers = ({ kind }) =>
      Promise.resolve({ model: 'none', role: 'assistant', content: { type: 'text', text: kind } });
    const { session } = await open(url, answers);
    const execution = await session.callTool('samples', {});
    const { outcome, lastTask } = await execution.settle();
    expect(outcome).toMatchObject({ status: 'completed', result: said('sampling') });
    expect(lastTask).toMatchObject({ status: 'completed', statusMessage: 'Asks a model' });
  });

  test('cancels a task by its execution or by its id, and also after its end', async () => {
    const opens = await fixture();
    const { session } = opens;
    const own = await session.callTool('slow_compute', { seconds: 60 });
    await own.cancel();
    expect((await own.settle()).outcome).toMatchObject({ status: 'cancelled' });
    const { handle } = own;
    const ended = session.task(handle?.taskId ?? '');
    expect(await ended.snapshot()).toMatchObject({ status: 'cancelled' });
    await ended.cancel();
    expect(await ended.snapshot()).toMatchObject({ status: 'cancelled' });
    const other = session.task(
      (await session.callTool('slow_compute', { seconds: 60 })).handle?.taskId ?? '',
    );
    expect(await other.snapshot()).toMatchObject({ status: 'working' });
    await other.cancel();
    expect(await other.snapshot()).toMatchObject({ status: 'cancelled' });
  });

  test('manages a task by its id: a part of the answers, an unknown key, and an unknown id', async () => {
    const { url } = await serve((ctx) => createFixtureServer(ctx), { tasks: true });
    const [first, second] = [await open(url), await open(url)];
    const { handle } = await first.session.callTool('multi_input', {});
    const task = second.session.task(handle?.taskId ?? '');
    const keys = async () => Object.keys((await task.snapshot()).raw['inputRequests'] ?? {});
    await expect.poll(keys).toEqual(['one', 'two']);
    await task.update({ two: { action: 'decline' }, never: { action: 'accept' } });
    expect(await keys()).toEqual(['one']);
    await task.update({ one: { action: 'accept' } });
    await expect
      .poll(async () => (await task.snapshot()).raw)
      .toMatchObject({ result: said('accept,decline') });
    const unknown = second.session.task('unknown');
    await expect(unknown.snapshot()).rejects.toMatchObject({ code: -32602 });
    await expect(unknown.update({})).rejects.toMatchObject({ code: -32602 });
    await expect(unknown.cancel()).rejects.toMatchObject({ code: -32602 });
  });
});
