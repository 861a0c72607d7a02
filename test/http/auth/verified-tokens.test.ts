import type { AuthInfo } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { VerifiedTokens } from '../../../src/http/auth/verified-tokens.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

const info = (token: string, expiresAt: number): AuthInfo => ({
  token,
  clientId: 'c',
  scopes: ['read'],
  expiresAt,
  extra: { sub: 'ada' },
});

function open() {
  const time = createFakeTime();
  const verified = new VerifiedTokens(time);
  return { time, verified, seconds: () => Math.floor(time.now() / 1_000) };
}

test.each([
  [3_600, 60_000],
  [10, 10_000],
])('a token that expires in %i s is remembered for %i ms', async (expiresIn, keptMs) => {
  const { time, verified, seconds } = open();
  const given = info('a', seconds() + expiresIn);
  verified.keep('a', '', given);
  await time.advance(keptMs - 1);
  expect(verified.get('a', '')).toEqual(given);
  await time.advance(1);
  expect([verified.get('a', ''), verified.size]).toEqual([undefined, 0]);
});

test('a token is known for the audience that it was verified for', () => {
  const { verified, seconds } = open();
  verified.keep('a', 'one', info('a', seconds() + 60));
  expect([verified.get('a', 'two'), verified.get('a', 'one')]).toEqual([
    undefined,
    expect.objectContaining({ token: 'a' }),
  ]);
});

test('every caller gets a separate copy', () => {
  const { verified, seconds } = open();
  const given = info('a', seconds() + 60);
  verified.keep('a', '', given);
  given.scopes.push('admin');
  const first = verified.get('a', '') as AuthInfo;
  first.scopes.push('admin');
  (first.extra as Record<string, unknown>)['sub'] = 'bob';
  expect(verified.get('a', '')).toMatchObject({ scopes: ['read'], extra: { sub: 'ada' } });
});

test('it holds 10,000 tokens and 16 MiB of them, and forgets those that were not used for the longest time', () => {
  const { verified, seconds } = open();
  for (let n = 0; n < 10_000; n++) verified.keep(`t${n}`, '', info(`t${n}`, seconds() + 60));
  expect(verified.get('t0', '')).toBeDefined();
  verified.keep('one more', '', info('one more', seconds() + 60));
  expect([verified.size, verified.get('t1', ''), verified.get('t0', '')?.token]).toEqual([
    10_000,
    undefined,
    't0',
  ]);
  const long = 'x'.repeat(16_000);
  for (let n = 0; n < 1_100; n++) verified.keep(`${n}${long}`, '', info('', seconds() + 60));
  expect(verified.size).toBeLessThan(1_050);
  expect(verified.get(`1099${long}`, '')).toBeDefined();
});
