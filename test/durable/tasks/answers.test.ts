/** What a client may answer to the questions of a task: what the SDK lets through in a session, and nothing else. */
import {
  type ClientCapabilities,
  inputRequired,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { type RunningTask, taskTools } from '../../../src/durable/tasks/index.ts';
import { serve } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { callModern } from '../../kit/modern.ts';
import { sharedStore, storeKinds, useSharedStores } from '../../kit/shared-stores.ts';
import { CAPABILITIES, TaskClient, taskTool } from './kit.ts';

useSharedStores();

const AMOUNT = {
  message: 'How much?',
  requestedSchema: {
    type: 'object' as const,
    properties: { cents: { type: 'integer' as const, maximum: 100 } },
    required: ['cents'],
  },
};
const PAGE = {
  mode: 'url' as const,
  message: 'Sign',
  url: 'https://a.example',
  elicitationId: '1',
};
const WORDS = {
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'Hi' } }],
  maxTokens: 9,
};

const TOOLS = { ...WORDS, tools: [{ name: 'x', inputSchema: { type: 'object' as const } }] };

const SAID = { model: 'm', role: 'assistant', content: { type: 'text', text: 'Hello' } };
const RIGHT = {
  amount: { action: 'accept', content: { cents: 5 } },
  page: { action: 'accept' },
  words: SAID,
  tools: SAID,
};
type Question = keyof typeof RIGHT;

/** Right answers and wrong ones, by their question. */
const WRONG: ReadonlyArray<readonly [name: string, question: Question, answer: unknown]> = [
  ['more than its schema allows', 'amount', { action: 'accept', content: { cents: 1_000_000 } }],
  ['another type than its schema says', 'amount', { action: 'accept', content: { cents: '5' } }],
  ['content without what its schema requires', 'amount', { action: 'accept', content: {} }],
  ['an unknown action', 'amount', { action: 'perhaps' }],
  ['null', 'amount', null],
  ['a number', 'amount', 7],
  ['a text', 'amount', 'yes'],
  ['an array', 'amount', [RIGHT.amount]],
  ['its result in an envelope', 'amount', { method: 'elicitation/create', result: RIGHT.amount }],
  ['no action for a page', 'page', {}],
  ['a role that does not exist', 'words', { ...SAID, role: 'root' }],
  ['no model', 'words', { role: 'assistant', content: SAID.content }],
  ['content of an unknown type', 'words', { ...SAID, content: { type: 'spell', text: 'x' } }],
  ['null for what a model says', 'words', null],
];

const asked = (own: RunningTask, question: Question): Promise<unknown> =>
  question === 'words' || question === 'tools'
    ? own.sample(question, question === 'tools' ? TOOLS : WORDS)
    : own.elicit(question, question === 'page' ? PAGE : AMOUNT);

const requests = {
  amount: inputRequired.elicit(AMOUNT),
  page: inputRequired.elicitUrl(PAGE),
  words: inputRequired.createMessage(WORDS),
  tools: inputRequired.createMessage(TOOLS),
};

type Way = (question: Question, own: RunningTask, ctx: ServerContext) => Promise<unknown>;

const ways: Readonly<Record<string, Way>> = {
  'in the middle of a handler': async (question, own) => JSON.stringify(await asked(own, question)),
  'as the result of a handler': async (question, _, { mcpReq }) =>
    mcpReq.inputResponses === undefined
      ? inputRequired({ inputRequests: { [question]: requests[question] } })
      : JSON.stringify(mcpReq.inputResponses[question]),
};

type Asked = { readonly question: Question };
const serverOf = (run: Way, onServer?: (server: McpServer) => void) =>
  toolServer(
    { run: taskTool(({ question }: Asked, ctx, own) => run(question, own, ctx)) },
    onServer,
  );

/** What a client declares, and a question that it is not asked then. */
const UNDECLARED: ReadonlyArray<
  readonly [question: Question, declared: ClientCapabilities, missing: object]
> = [
  ['amount', {}, { elicitation: { form: {} } }],
  ['amount', { elicitation: { url: {} } }, { elicitation: { form: {} } }],
  ['page', { elicitation: {}, sampling: {} }, { elicitation: { url: {} } }],
  ['words', { elicitation: {} }, { sampling: {} }],
  ['tools', { sampling: {} }, { sampling: { tools: {} } }],
];

async function ask(way: Way, question: Question) {
  const { client } = await serve(serverOf(way), { tasks: true });
  const capabilities = { ...CAPABILITIES, elicitation: { form: {}, url: {} } };
  const tasks = new TaskClient(client(), { capabilities });
  const id = await tasks.start('run', { question });
  await tasks.until(id, 'input_required');
  return { tasks, id };
}

describe.each(Object.entries(ways))('a question %s', (_, way) => {
  test.each(WRONG)(
    '%s is an error to its sender, and the question stays open',
    async (_name, question, answer) => {
      const { tasks, id } = await ask(way, question);
      const { error } = await tasks.update(id, { [question]: answer });
      expect(error).toMatchObject({
        code: -32602,
        message: expect.stringContaining(`"${question}"`),
      });
      expect(Object.keys((await tasks.get(id))['inputRequests'] ?? {})).toEqual([question]);
      expect((await tasks.update(id, { [question]: RIGHT[question] })).result).toEqual({
        resultType: 'complete',
      });
      const { result } = await tasks.ended(id);
      expect(result).toMatchObject({ content: [{ text: JSON.stringify(RIGHT[question]) }] });
    },
  );
});

const { extensions } = CAPABILITIES;

describe.each(Object.entries(ways))(
  'a client that does not declare what a question %s needs',
  (_, way) => {
    test.each(UNDECLARED)(
      'is not asked for %s where it declares %j',
      async (question, declared, requiredCapabilities) => {
        const { client } = await serve(serverOf(way), { tasks: true });
        const tasks = new TaskClient(client(), { capabilities: { ...declared, extensions } });
        const ended = await tasks.until(
          await tasks.start('run', { question }),
          'input_required',
          'failed',
        );
        expect(ended).toMatchObject({
          status: 'failed',
          error: { code: -32021, data: { requiredCapabilities } },
        });
      },
    );
  },
);

test('a bare declaration of elicitation is one of forms', async () => {
  const { client } = await serve(serverOf(ways['in the middle of a handler'] as Way), {
    tasks: true,
  });
  const tasks = new TaskClient(client(), { capabilities: { elicitation: {}, extensions } });
  const id = await tasks.start('run', { question: 'amount' });
  expect(await tasks.until(id, 'input_required', 'failed')).toMatchObject({
    status: 'input_required',
  });
});

/** Fields of records on every store keep none of these as they are. */
const NAMES = ['', 'a\u0000', 'a\ud800', '\udc00a', 'x'.repeat(201)];
const REFUSED = expect.stringContaining(
  'a name has 1 to 200 bytes, no lone surrogate and no U+0000',
);

/** Runs a task to its end. */
async function run(way: Way) {
  const { client } = await serve(serverOf(way), { tasks: true });
  const tasks = new TaskClient(client());
  return { ended: await tasks.ended(await tasks.start('run', { question: 'amount' })) };
}

const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(String, ({ message }) => message);

describe.each(NAMES)('the name %j is refused where the handler gives it', (name) => {
  const names: Readonly<Record<string, Way>> = {
    'to a question': (_, own) => messageOf(own.elicit(name, AMOUNT)),
    'to a step': (_, own) => messageOf(own.step(name, () => 1)),
    'to a value': (_, own) => messageOf(own.state.set(name, 1)),
  };
  test.each(Object.entries(names))('%s', async (_, way) => {
    expect((await run(way)).ended['result']).toMatchObject({ content: [{ text: REFUSED }] });
  });

  test('to a question of its result', async () => {
    const { ended } = await run(async () =>
      inputRequired({ inputRequests: { [name]: requests.amount } }),
    );
    expect(ended).toMatchObject({ status: 'failed', error: { message: REFUSED } });
  });
});

test('a form that is no JSON Schema is refused where the handler asks, and two forms with one $id are two', async () => {
  const requestedSchema = { ...AMOUNT.requestedSchema, $schema: 'https://a.example/schema' };
  const { ended } = await run((_, own) =>
    messageOf(own.elicit('amount', { ...AMOUNT, requestedSchema })),
  );
  expect(ended['result']).toMatchObject({
    content: [{ text: expect.stringContaining('is no JSON Schema') }],
  });
  const form = (maximum: number) => ({
    message: 'How much?',
    requestedSchema: {
      $id: 'https://a.example/form',
      type: 'object' as const,
      properties: { cents: { type: 'integer' as const, maximum } },
    },
  });
  const both: Way = async (_, own) =>
    JSON.stringify(await Promise.all([own.elicit('one', form(1)), own.elicit('two', form(2))]));
  const { client } = await serve(serverOf(both), { tasks: true });
  const tasks = new TaskClient(client());
  const id = await tasks.start('run', { question: 'amount' });
  await until(async () => Object.keys((await tasks.get(id))['inputRequests'] ?? {}).length === 2);
  const answers = {
    one: { action: 'accept', content: { cents: 2 } },
    two: { action: 'accept', content: { cents: 2 } },
  };
  expect((await tasks.update(id, answers)).error).toMatchObject({
    message: expect.stringContaining('"one"'),
  });
  expect(Object.keys((await tasks.get(id))['inputRequests'] ?? {})).toEqual(['one', 'two']);
  await tasks.cancel(id);
});

describe.each(storeKinds)('on %s', (kind) => {
  test('a status that no store keeps as it is loses those characters', async () => {
    const asks: Way = async (_, own) => {
      own.status('a\u0000b\ud800');
      return (await own.elicit('amount', AMOUNT)).action;
    };
    const { client, log } = await serve(serverOf(asks), {
      tasks: true,
      store: sharedStore(kind)(),
    });
    const tasks = new TaskClient(client());
    const id = await tasks.start('run', { question: 'amount' });
    await until(async () => (await tasks.get(id))['statusMessage'] === 'a\ufffdb\ufffd');
    await tasks.update(id, { amount: { action: 'decline' } });
    expect((await tasks.ended(id))['statusMessage']).toBe('a\ufffdb\ufffd');
    expect(log.matching(/could not be stored/)).toEqual([]);
  });
});

test('a client without tasks hears what is wrong with its answer, and answers again', async () => {
  const way: Way = async (_, own) => JSON.stringify((await own.elicit('amount', AMOUNT)).content);
  const { client } = await serve(serverOf(way, taskTools), { tasks: { fallback: 'tools' } });
  const raw = client();
  const call = async (name: string, given: object, more: object = {}) =>
    (
      await callModern(
        raw,
        'tools/call',
        { name, arguments: given, ...more },
        { capabilities: { elicitation: { form: {} } } },
      )
    ).message;
  const handle = (await call('run', { question: 'amount' })).result as {
    structuredContent: { taskId: string };
  };
  const status = (more: object = {}) =>
    call('task_status', { taskId: handle.structuredContent.taskId }, more);
  const answer = (cents: number) => ({
    inputResponses: { amount: { action: 'accept', content: { cents } } },
  });
  expect((await status()).result).toMatchObject({ resultType: 'input_required' });
  expect((await status(answer(101))).error).toMatchObject({
    code: -32602,
    message: expect.stringContaining('"amount"'),
  });
  expect((await status(answer(5))).result).toMatchObject({ content: [{ text: '{"cents":5}' }] });
});

test('a question that a handler asks again through its context is another question', async () => {
  const way: Way = async (_, _own, { mcpReq }) =>
    `${(await mcpReq.elicitInput(AMOUNT)).action}, ${(await mcpReq.elicitInput(AMOUNT)).action}`;
  const { client } = await serve(serverOf(way), { tasks: true });
  const tasks = new TaskClient(client());
  const id = await tasks.start('run', { question: 'amount' });
  for (const action of ['decline', 'cancel']) {
    const [key = ''] = Object.keys(
      (await tasks.until(id, 'input_required', 'completed'))['inputRequests'] ?? {},
    );
    await tasks.update(id, { [key]: { action } });
  }
  expect(await tasks.ended(id)).toMatchObject({
    result: { content: [{ text: 'decline, cancel' }] },
  });
});
