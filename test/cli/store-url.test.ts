import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { storeOf } from '../../src/cli/store-url.ts';

const chosen = (url: string) => storeOf(url, '--store');

describe('the URL of a store', () => {
  test.each([
    ['memory:', 'memory', 'memory:', false],
    ['sqlite:./x.db', 'sqlite', `sqlite:${resolve('x.db')}`, false],
    ['redis://localhost', 'redis', 'redis://localhost', true],
    ['REDISS://ann:pw@db.example:6380/2', 'redis', 'rediss://db.example:6380', true],
    ['postgres://ann:pw@db.example/app?sslmode=require', 'postgres', 'postgres://db.example', true],
    ['postgresql://ann@db.example/app', 'postgres', 'postgresql://db.example', true],
  ])('%s is a store of %s, shown as %s', async (url, kind, shown, remote) => {
    expect(await chosen(url)).toMatchObject({ store: { kind }, shown, remote });
  });

  test.each([
    ['nothing', /^--store takes a store's URL, e\.g\. sqlite:.*redis:.*postgres:.*; got "nothing"$/],
    ['', /; got ""$/],
    ['constructor:', /; got "constructor:"$/],
    ['mysql://root:hunter22@db', /; got "mysql:…"$/],
    ['memory:x', /^--store: memory: takes no path; got "memory:x"$/],
    [
      'sqlite://sessions.db',
      /^--store: sqlite:\/\/sessions\.db would be a file in the root folder: write sqlite:\.\/sessions\.db /,
    ],
    ['sqlite:', /^--store: sqlite: needs a file, e\.g\. sqlite:\.\/sessions\.db$/],
    ['redis://h/name', /^--store: .*\/name.*redis:\/\/host\/1/],
    ['redis://:hunter22@ho st', /^--store: got a text that is no URL, takes .*e\.g\. 'redis:/],
    ['redis://:hunter22/3@host', /^--store: redis: has \/ \? or # before an @: write \/ as %2F/],
    ['postgres:db', /^--store: .*e\.g\. 'postgres:/],
  ])('%s is refused, and no secret is shown', async (url, message) => {
    const error = await chosen(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringMatching(message) as string });
    expect(String(error)).not.toContain('hunter22');
  });
});

describe('what is secret of it is taken out of every text', () => {
  test.each([
    ['redis://ann:hunter22@db', 'cannot reach redis://ann:hunter22@db', 'cannot reach redis://***@db'],
    ['redis://ann:hunter22@db', 'AUTH ann hunter22', 'AUTH ann ***'],
    ['redis://:p%40ss%22w@db', 'password is p@ss"w', 'password is ***'],
    // In a line of the log.
    ['redis://:p%40ss%22w@db', String.raw`{"msg":"p@ss\"w"}`, '{"msg":"***"}'],
    ['postgres://ann:p@ss:word@db/app', 'ann:p@ss:word@db', '***@db'],
    ['postgres://ann@db/app?password=hunter22&sslmode=require', 'hunter22 require ann', '*** require ann'],
    // Other spellings of one secret.
    ['redis://:a%2fb%2Cc%7Cd@db', 'a%2fb%2Cc%7Cd a/b,c|d a%2Fb%2Cc%7Cd', '*** *** ***'],
    // A secret that is a word, or short, is hidden in the URL, and stays in sentences.
    ['redis://ann:redis@db', 'redis://ann:redis@db refuses user and redis', 'redis://***@db refuses user and redis'],
    ['redis://:a@db', 'data at redis://:a@db', 'data at redis://***@db'],
    ['redis://:6379@db:6379', 'connect ECONNREFUSED 127.0.0.1:6379 {"port":6379}', ''],
    ['postgres://postgres@db/app', 'postgres at postgres@db', 'postgres at postgres@db'],
    ['memory:', 'memory:', 'memory:'],
  ])('%s: %s', async (url, text, cleaned) => {
    expect((await chosen(url)).redact(text)).toBe(cleaned === '' ? text : cleaned);
  });
});
