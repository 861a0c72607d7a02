/** Whose keys are whose, of callers without a user. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { once } from '../../src/once/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { userHeader } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';

const args = { key: 'k' };

async function open(anonymous?: 'shared') {
  let runs = 0;
  const lab = createLab((server) => {
    const count = once((_: { key: string }) => said(String((runs += 1))), { key: ({ key }) => key, anonymous });
    server.registerTool('count1', { inputSchema: z.object({ key: z.string() }) }, count);
  });
  const member = await serveMember({}, { face: 'node', auth: userHeader }, lab);
  const inSession = async (user?: string) => {
    const client = member.client(user === undefined ? {} : { headers: { 'x-user': user } });
    await client.initialize();
    return async () => textOf((await client.call(...tool('count1', args))).message);
  };
  const modern = async () =>
    textOf((await callModern(member.client(), 'tools/call', { name: 'count1', arguments: args })).message);
  return { inSession, modern };
}

test('two sessions without a user have keys of their own', async () => {
  const { inSession } = await open();
  const [one, other] = [await inSession(), await inSession()];
  expect([await one(), await other(), await one(), await other()]).toEqual(['1', '2', '1', '2']);
});

test("anonymous: 'shared': every caller without a user has the same keys, in sessions too, and no user has them", async () => {
  const { inSession, modern } = await open('shared');
  const [one, other, ada] = [await inSession(), await inSession(), await inSession('ada')];
  expect([await one(), await other(), await modern(), await ada(), await ada()]).toEqual(['1', '1', '1', '2', '2']);
});

test('1,000 attempts of a user to reach the key of another one: each runs its own call', async () => {
  const { inSession } = await open();
  expect(await (await inSession('victim'))()).toBe('1');
  const attackers = ['victim ', 'Victim', 'victim\t', 'VICTIM', 'x', '["victim"]', 'user,victim', 'anonymous'];
  const answers: Array<string | undefined> = [];
  for (const name of attackers) {
    const call = await inSession(name.trim() === 'victim' ? `${name.trim()}2` : name);
    for (let n = 0; n < 125; n++) answers.push(await call());
  }
  expect(answers.length).toBe(1_000);
  expect(answers.filter((answer) => answer === '1')).toEqual([]);
});
