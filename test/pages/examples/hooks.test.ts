// @module-tag matrix
/** The example of hooks, started as its readers start it. */
import { expect, test } from 'vitest';
import { connectNegotiating, connectV2 } from '../../clients/official.ts';
import { until } from '../../kit/until.ts';
import { startExample } from './example-process.ts';

test('examples/hooks opens and closes a notebook for each session, and finds the database of each caller', async () => {
  const example = startExample('hooks/server.ts');
  const url = await example.url();
  const withToken = (token: string) => ({
    fetch: (input: string | URL | Request, init?: RequestInit) => {
      const headers = new Headers(init?.headers);
      headers.set('authorization', `Bearer ${token}`);
      return fetch(input, { ...init, headers });
    },
  });
  const ada = await connectV2(url, withToken('token-of-ada'));
  const bob = await connectNegotiating(url, withToken('token-of-bob'));
  expect(bob.protocolVersion()).toBe('2025-11-25');
  expect(await ada.say('write', { line: 'one' })).toBe('1 lines, acme-db');
  expect(await ada.say('write', { line: 'two' })).toBe('2 lines, acme-db');
  expect(await bob.say('write', { line: 'mine' })).toBe('1 lines, globex-db');
  await ada.terminate();
  const lines = () => example.output.stdout.trim().split('\n').slice(1);
  await until(() => lines().includes('closed with 2 lines'), { what: 'the end of a session' });
  expect(await example.stop()).toBe(0);
  expect(lines().filter((line) => /^(opened|left|closed)/.test(line))).toEqual([
    'opened for official-client',
    'opened for official-client',
    'left: deleted',
    'closed with 2 lines',
    'left: released',
    'closed with 1 lines',
  ]);
  expect(example.output.stdout.match(/^tools\/call write ok \d+ ms$/gm)).toHaveLength(3);
});
