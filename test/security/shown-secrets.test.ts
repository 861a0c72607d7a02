/** Texts that an operator shows to others: the banner, and errors. No password and no session id is in them. */
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { storeOf } from '../../src/cli/store-url.ts';
import { RECORD_VERSION } from '../../src/stores/store.ts';
import { newerRecord, shownRecord } from '../../src/stores/shared/failures.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { toolServer } from '../kit/tool-server.ts';
import { watchedStore } from '../kit/watched-store.ts';

const PARTS = [
  '/',
  '?',
  '#',
  '@',
  ':',
  '//',
  '/0',
  '?x=',
  '#/',
  ':@',
  ',',
  '%',
  '\\',
  '&',
  '=',
  ' ',
];
const PASSWORDS = PARTS.flatMap((part) => [
  `hunter${part}canary`,
  `${part}canary`,
  `12${part}canary`,
  `canary${part}`,
]);
const SCHEMES = ['redis', 'rediss', 'postgres'];

test('no password is in the banner or in an error, whatever characters it has', async () => {
  for (const scheme of SCHEMES) {
    for (const password of PASSWORDS) {
      const url = `${scheme}://ann:${password}@db.example:4222/1`;
      const shown = await storeOf(url, '--store').then(
        (chosen) => [chosen.shown],
        (error: unknown) => [String(error)],
      );
      const letIn = shown.join(' ').includes('canary') ? 1 : 0;
      expect([url, shown, letIn]).toEqual([url, shown, 0]);
    }
  }
});

const ID = 'canary-session-id';

test('no error about a stored record has the id of a session', () => {
  expect(newerRecord('Redis', ID, RECORD_VERSION + 1, RECORD_VERSION).message).not.toContain(ID);
  expect(shownRecord(ID)).not.toContain(ID);
});

test('a session id that another instance has just used is in no answer and no log line', async () => {
  const connect = sharedStore('sqlite');
  const sessionIdGenerator = (): string => ID;
  const options = { sessionMode: 'stateful', sessionIdGenerator } as const;
  const first = await serve(toolServer({}), { ...options, store: connect() });
  const store = watchedStore({ durable: true, inner: connect() });
  const second = await serve(toolServer({}), { ...options, store });
  store.before['sessions.create'] = async () => {
    await first.client().initialize();
  };
  const { response: refused } = await second.client().initialize();
  const texts = `${inspect(refused.json(), { depth: 9 })}${inspect(second.log.lines, { depth: 9 })}`;
  expect(texts).toContain('exists already');
  const letIn = texts.includes(ID) ? 1 : 0;
  expect([texts, letIn]).toEqual([texts, 0]);
});
