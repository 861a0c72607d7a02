// @module-tag matrix
/**
 * Clients whose calls are given up long before their tool ends, each in its own language. `SOJOURN_WAIT_S=60` lets them
 * wait for a minute, and the tool take three and a half.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext, TasksOptions } from '../../src/index.ts';
import { task, type TaskOptions, taskTools } from '../../src/tasks/index.ts';
import { serve } from '../kit/serve.ts';
import { Effects, text } from '../tasks/kit.ts';
import { type OtherClient, OtherProgram } from './other-client.ts';
import { pause } from './other-deployment.ts';
import { type Other, others } from './other-list.ts';

const byHand = process.env['SOJOURN_WAIT_S'];
const WAIT_MS = Number(byHand ?? 2) * 1_000;
const TOOL_MS = 3.5 * WAIT_MS;
/**
 * Then a client waits for the answer. The Python SDK (1.30, `_handle_response`) ends its receive loop when an answer
 * arrives in the moment in which its call is given up, and each later call then fails with `ClosedResourceError`. A
 * process that was stopped meets the limit and an answer of a second before in one moment.
 */
const GIVEN_UP = 2;
const TEST_MS = 2 * TOOL_MS + 120_000;
const RIGHTS = { token: 't', clientId: 'c', scopes: [], expiresAt: 9_999_999_999, extra: { sub: 'ada' } };

/** What an SDK says of a call that took longer than its limit. */
const TIMED_OUT = /timed out|deadline exceeded/i;

const available = others.filter(({ missing }) => missing === undefined);
const commands = new Map(available.map(({ name, command }) => [name, command]));
const programs = new Map([...commands].map(([name, command]) => [name, new OtherProgram(command)]));
afterAll(() => Promise.all([...programs.values()].map((program) => program.close())));

for (const { title, missing } of others.filter((other) => other.missing !== undefined))
  test.skipIf(process.env['CI'] === undefined)(`${title} (${missing})`, () => expect.fail(missing));

interface Asked {
  readonly title: string;
  /** A call of a client that waits for a time: the text of its answer, or undefined where it gave the call up. */
  call(tool: string, args: object): Promise<string | undefined>;
}

/** What each client reads in the end, how often its tool ran, and how often the client gave a call up. */
async function played(
  tasks: TasksOptions | true,
  key: TaskOptions<[{ by: string }, unknown]>['key'],
  use: (asked: Asked) => Promise<string>,
) {
  const effects = new Effects();
  const film = async ({ by }: { by: string }) => {
    effects.note(by);
    await pause(TOOL_MS);
    return text(`the film of ${by}`);
  };
  const server = ({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>): McpServer => {
    const made = new McpServer({ name: 'films', version: '1' }, serverOptions);
    taskTools(made);
    made.registerTool('film', { inputSchema: z.object({ by: z.string() }) }, task(film, { key, resume: true }));
    return made;
  };
  const { url } = await serve(server, { tasks }, { face: 'node', auth: () => RIGHTS });
  const play = async ({ name, title, era }: Other) => {
    const client = (await programs.get(name)?.connect(url, era, TEST_MS)) as OtherClient;
    let gaveUp = 0;
    const call = async (tool: string, args: object): Promise<string | undefined> => {
      const outcome = await client.outcome(tool, args, TEST_MS, gaveUp < GIVEN_UP ? WAIT_MS : TEST_MS);
      if (outcome?.event === 'answered' && outcome.isError !== true) return outcome.text;
      if (!TIMED_OUT.test(outcome?.error ?? '')) throw new Error(`${title}: ${JSON.stringify(outcome)} ${client.dead}`);
      gaveUp += 1;
      return undefined;
    };
    const read = await use({ title, call });
    await client.close();
    return { title, read, ran: effects.count(title), gaveUp };
  };
  const seen = await Promise.all(available.map(play));
  if (byHand !== undefined) console.table(seen);
  return seen;
}

const outcomes = available.map(({ title }) => ({ title, read: `the film of ${title}`, ran: 1 }));

test(
  "clients that stop waiting get the result of a longer task with fallback: 'tools'",
  { timeout: TEST_MS },
  async () => {
    const seen = await played({ fallback: 'tools' }, undefined, async ({ title, call }) => {
      const handle = (await call('film', { by: title })) ?? '';
      const taskId = /as the task ([^ ]+)\. Call task_status /.exec(handle)?.[1];
      for (;;) {
        const told = await call('task_status', { taskId });
        if (told !== undefined && !told.startsWith('The task is not over')) return told;
      }
    });
    expect(seen).toMatchObject(outcomes);
  },
);

test(
  'clients that stop waiting get the result of a longer task with a key, when they ask again',
  { timeout: TEST_MS },
  async () => {
    const seen = await played(
      true,
      ({ by }) => by,
      async ({ title, call }) => {
        for (;;) {
          const told = await call('film', { by: title });
          if (told !== undefined) return told;
        }
      },
    );
    expect(seen).toMatchObject(outcomes);
    expect(seen.filter(({ gaveUp }) => gaveUp === 0)).toEqual([]);
  },
);
