/** Whose keys are whose: of callers without a user, and of other users. */
import { isDeepStrictEqual } from 'node:util';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { once } from '../../../src/durable/once/index.ts';
import type { JsonRpcAnswer } from '../../kit/raw-client.ts';
import { serveMember } from '../../kit/fleet.ts';
import { createLab, textOf, tool } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { userHeader } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { eraNames, eras } from './pay.ts';

const args = { key: 'k' };

async function open(anonymous?: 'shared') {
  let runs = 0;
  const lab = createLab((server) => {
    const count = once((_: { key: string }) => said(String((runs += 1))), {
      key: ({ key }) => key,
      anonymous,
    });
    server.registerTool('count1', { inputSchema: z.object({ key: z.string() }) }, count);
  });
  const member = await serveMember({}, { face: 'node', auth: userHeader }, lab);
  const inSession = async (user?: string) => {
    const client = await member.openSession(
      {},
      user === undefined ? {} : { headers: { 'x-user': user } },
    );
    return async () => textOf((await client.call(...tool('count1', args))).message);
  };
  const modern = async () =>
    textOf(
      (await callModern(member.client(), 'tools/call', { name: 'count1', arguments: args }))
        .message,
    );
  return { inSession, modern };
}

test.each([
  ['have keys of their own', undefined, ['1', '2', '1', '2', '3', '3']],
  [
    "have the same keys where anonymous is 'shared', and no user has them",
    'shared',
    ['1', '1', '1', '1', '2', '2'],
  ],
] as const)('sessions without a user %s', async (_, anonymous, said) => {
  const { inSession, modern } = await open(anonymous);
  const [one, other, ada] = [await inSession(), await inSession(), await inSession('ada')];
  const answers = [];
  for (const call of [one, other, one, other, ada, ada]) answers.push(await call());
  expect(answers).toEqual(said);
  if (anonymous === 'shared') expect(await modern()).toBe('1');
});

const OTHERS = [
  'Victim',
  'VICTIM',
  'victim2',
  'victim%20',
  'v',
  '["victim"]',
  'user,victim',
  'anonymous',
  '*',
  'null',
];
const KEYS = 6;

test.each(eraNames)(
  'in %s, attempts of ten names to learn of, attach to or block a key that another user runs: each runs its own call',
  async (era) => {
    const held = new Map<string, (text: string) => void>();
    let runs = 0;
    const lab = createLab((server) => {
      const pay = once(
        (
          { key, cents }: { key: string; cents: number },
          ctx: { http?: { authInfo?: AuthInfo } },
        ) => {
          const user = String(ctx.http?.authInfo?.extra?.['sub']);
          if (user !== 'victim' && key !== 'next')
            return Promise.resolve(said(`${(runs += 1)} ${user} ${key} ${cents}`));
          return new Promise<ReturnType<typeof said>>((resolve) =>
            held.set(`${user} ${key}`, (text) => resolve(said(text))),
          );
        },
        { key: ({ key }) => key },
      );
      server.registerTool(
        'pay',
        { inputSchema: z.object({ key: z.string(), cents: z.number() }) },
        pay,
      );
    });
    const member = await serveMember({}, { face: 'node', auth: userHeader }, lab);
    onTestFinished(() => held.forEach((answer) => answer('late')));
    const callerOf = async (user: string) => {
      const client = await eras[era].connect(member.client({ headers: { 'x-user': user } }));
      return (key: string, cents: number) => eras[era].call(client, { key, cents });
    };
    const victim = await callerOf('victim');
    const mine = Array.from({ length: KEYS }, (_, n) => victim(`k${n}`, 5));
    await until(() => held.size === KEYS);

    let attempts = 0;
    const reached: unknown[] = [];
    for (const user of OTHERS) {
      const call = await callerOf(user);
      for (let n = 0; n < KEYS; n++) {
        // With the arguments of the victim it could attach, and with others it could learn of a conflict.
        const cents = 5 + (n % 2);
        attempts += 1;
        const answer = await call(`k${n}`, cents);
        const own = { content: [{ type: 'text', text: `${attempts} ${user} k${n} ${cents}` }] };
        if (!isDeepStrictEqual(contentOf(answer), own)) reached.push(answer);
      }
    }
    expect([attempts, reached]).toEqual([OTHERS.length * KEYS, []]);

    const theirs = (await callerOf('x'))('next', 6);
    await until(() => held.has('x next'));
    const next = victim('next', 5);
    await until(() => held.has('victim next'));
    held.get('victim next')?.('the next');
    expect(textOf(await next)).toBe('the next');
    for (let n = 0; n < KEYS; n++) held.get(`victim k${n}`)?.(`mine ${n}`);
    expect((await Promise.all(mine)).map(textOf)).toEqual(mine.map((_, n) => `mine ${n}`));
    held.get('x next')?.('of x');
    expect(textOf(await theirs)).toBe('of x');
  },
);

/** The result without the envelope of its era; the mark of a replayed answer stays. */
function contentOf({ result }: JsonRpcAnswer): unknown {
  const { content, _meta } = (result ?? {}) as {
    content?: unknown;
    _meta?: Record<string, unknown>;
  };
  return { content, ...(_meta?.['sojourn/replayed'] !== undefined && { replayed: true }) };
}
