/** A handler may have several promises open when its run ends, and awaits one of them: the process lives on. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunningTask, TaskOptions } from '../../../src/durable/tasks/index.ts';
import { postModern } from '../../kit/modern.ts';
import { hearRejections } from '../../kit/rejections.ts';
import { turns, until } from '../../kit/until.ts';
import { CAPABILITIES, type Handler, openRun, QUESTION } from './kit.ts';

let unhandled: unknown[] = [];
let stop = (): void => {};
beforeEach(() => {
  unhandled = [];
  stop = hearRejections((error) => unhandled.push(error));
});
afterEach(() => stop());

/** Node tells of a rejection that nothing handles when the microtasks of a turn are done. */
const TURNS = 5;

async function open(handler: Handler, options: TaskOptions = {}) {
  let settled = false;
  const run: Handler = async (own, ctx) => {
    try {
      return String(await handler(own, ctx));
    } finally {
      settled = true;
    }
  };
  const { client } = await openRun(run, options);
  return { client, hasSettled: () => until(() => settled) };
}

const untilAborted = ({ signal }: RunningTask): Promise<never> =>
  new Promise((_, reject) =>
    signal?.addEventListener('abort', () => reject(new Error('interrupted')), { once: true }),
  );

const handlers: Readonly<Record<string, Handler>> = {
  'two questions': async (own) => {
    const [one, two] = [own.elicit('one', QUESTION), own.elicit('two', QUESTION)];
    await one;
    return two;
  },
  'two questions of its context': async (_, { mcpReq }) => {
    const [one, two] = [QUESTION, { ...QUESTION, message: 'Really?' }].map((asked) =>
      mcpReq.elicitInput(asked),
    );
    await one;
    return two;
  },
  'a question beside a step': async (own) => {
    const step = own.step('step', () => untilAborted(own));
    await own.elicit('one', QUESTION);
    return step;
  },
  'values that nothing awaits': async (own) => {
    await own.elicit('one', QUESTION).catch(() => {});
    void own.state.set('late', 1);
    void own.step('late', () => 1);
    void own.start();
    void own.detach(() => {});
    return 'done';
  },
};

test.each(Object.entries(handlers))(
  'a cancel ends a task with %s, and nothing else',
  async (_, handler) => {
    const { client, hasSettled } = await open(handler);
    const id = await client.start('run');
    await client.until(id, 'input_required');
    await client.cancel(id);
    await hasSettled();
    await turns(TURNS);
    expect(unhandled).toEqual([]);
  },
);

test('a client that leaves ends its call, and nothing else', async () => {
  let begun = false;
  const handler: Handler = async (own) => {
    const steps = ['one', 'two'].map((name) => own.step(name, () => untilAborted(own)));
    begun = true;
    await steps[0];
    return steps[1];
  };
  const { client, hasSettled } = await open(handler, { when: 'manual' });
  const posted = postModern(
    client.raw,
    'tools/call',
    { name: 'run', arguments: {} },
    { capabilities: CAPABILITIES },
  ).catch(() => {});
  await until(() => begun);
  client.raw.close();
  await posted;
  await hasSettled();
  await turns(TURNS);
  expect(unhandled).toEqual([]);
});

test('a step of the application that throws by itself is its own mistake, as in any code', async () => {
  const mistake = new Error('a mistake');
  const handler: Handler = async (own) => {
    void own.step('wrong', () => Promise.reject(mistake));
    return own.step('right', () => 'done');
  };
  const { client } = await open(handler);
  await client.ended(await client.start('run'));
  await turns(TURNS);
  expect(unhandled).toEqual([mistake]);
});
