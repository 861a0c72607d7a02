import { randomBytes } from 'node:crypto';
import type { ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { createRequestState, type RequestStateKey } from '../../src/protocol/request-state.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const KEY = 'k'.repeat(32);
const ctxOf = (user: string | undefined, method = 'tools/call'): ServerContext =>
  ({ http: { authInfo: { extra: { sub: user } } }, mcpReq: { method } }) as unknown as ServerContext;
const alice = ctxOf('alice');

function codec(keys: readonly RequestStateKey[] = [KEY]) {
  const time = createFakeTime(Date.UTC(2026, 10, 1));
  const state = { target: 'pay' as string | undefined };
  const { mint, verify } = createRequestState({
    keys: async () => keys,
    userOf: (authInfo) => authInfo?.extra?.['sub'] as string | undefined,
    target: () => state.target,
    ofTask: () => false,
    now: time.now,
    random: randomBytes,
  });
  return { mint, verify, time, state };
}

test('a state shows nothing of its payload, and two states of one payload differ', async () => {
  const { mint, verify } = codec();
  const payload = { account: 'the-secret-account', step: 2 };
  const [one, two] = [await mint(payload, alice), await mint(payload, alice)];
  expect(one).not.toBe(two);
  for (const text of [one, two]) {
    const bytes = Buffer.from(text.slice(3), 'base64url');
    for (const part of ['the-secret-account', 'account', '"p"', 'alice', 'pay'])
      expect(bytes.includes(part)).toBe(false);
    expect(await verify(text, alice)).toEqual(payload);
  }
});

test('a state opens any number of times within 600 s, and not later', async () => {
  const { mint, verify, time } = codec();
  const text = await mint(1, alice);
  for (let n = 0; n < 3; n++) expect(await verify(text, alice)).toBe(1);
  await time.advance(600_000);
  expect(await verify(text, alice)).toBe(1);
  await time.advance(1_000);
  await expect(verify(text, alice)).rejects.toThrow('expired');
});

test('every key opens, the first seals', async () => {
  const other = 'o'.repeat(32);
  const [old, rotated, fresh] = [codec([KEY]), codec([other, KEY]), codec([other])];
  expect(await rotated.verify(await old.mint('x', alice), alice)).toBe('x');
  expect(await fresh.verify(await rotated.mint('x', alice), alice)).toBe('x');
  await expect(fresh.verify(await old.mint('x', alice), alice)).rejects.toThrow('mac');
});

describe('refused', () => {
  test.each<[string, ServerContext, string | undefined]>([
    ['another user', ctxOf('bob'), 'pay'],
    ['no user', ctxOf(undefined), 'pay'],
    ['another method', ctxOf('alice', 'prompts/get'), 'pay'],
    ['another target', alice, 'refund'],
    ['no target', alice, undefined],
  ])('%s', async (_, ctx, target) => {
    const { mint, verify, state } = codec();
    const text = await mint('x', alice);
    state.target = target;
    await expect(verify(text, ctx)).rejects.toThrow('mac');
  });

  test('every other spelling, and every single bit changed', async () => {
    const { mint, verify } = codec();
    const text = await mint('x', alice);
    for (const spelled of [
      `${text}=`,
      `${text} `,
      text.replace('.', '..'),
      `${text}\n`,
      text.toUpperCase(),
      text.slice(0, 20),
    ]) {
      await expect(verify(spelled, alice), spelled).rejects.toThrow(/^(mac|malformed)$/);
    }
    const bytes = Buffer.from(text.slice(3), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(verify(`s1.${changed.toString('base64url')}`, alice)).rejects.toThrow('mac');
    }
  });
});
