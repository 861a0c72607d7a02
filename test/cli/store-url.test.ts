import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/cli/failure.ts';
import { storeOf } from '../../src/cli/store-url.ts';

const chosen = (url: string) => storeOf(url, '--store');

describe('the URL of a store', () => {
  test.each([
    ['memory:', 'memory', 'memory:', false],
    ['sqlite:./x.db', 'sqlite', `sqlite:${resolve('x.db')}`, false],
    ['redis://localhost', 'redis', 'redis://localhost', true],
    ['REDISS://ann:pw@db.example:6380/2', 'redis', 'rediss://db.example:6380', true],
    ['postgres://ann:pw@db.example/app?sslmode=require', 'postgres', 'postgres://db.example', true],
    ['postgres://ann:pw@/app?host=/run/postgresql', 'postgres', 'postgres://localhost', true],
    ['postgresql://ann@db.example/app', 'postgres', 'postgresql://db.example', true],
  ])('%s is a store of %s, shown as %s', async (url, kind, shown, remote) => {
    expect(await chosen(url)).toMatchObject({ store: { kind }, shown, remote });
  });

  test.each([
    [
      'nothing',
      /^--store takes a store's URL, e\.g\. sqlite:.*redis:.*postgres:.*; got "nothing"$/,
    ],
    ['', /; got ""$/],
    ['constructor:', /; got "constructor:"$/],
    ['mysql://root:hunter22@db', /; got "mysql:…"$/],
    // As `docker --env-file` gives it: with its quotation marks.
    ['"redis://root:hunter22@db"', /; got "\\"redis:…"$/],
    ['hunter22@db:6379', /; got "…"$/],
    [
      'sqlite://sessions.db',
      /^--store: sqlite:\/\/sessions\.db would be a file in the root folder: write sqlite:\.\/sessions\.db /,
    ],
    ['sqlite:', /^--store: sqlite: needs a file, e\.g\. sqlite:\.\/sessions\.db$/],
    ['redis://h/name', /^--store: .*Invalid pathname.*redis:\/\/user:password@localhost:6379\/0/],
    [
      'redis://:hunter22@ho st',
      /^--store: got a text that is not such a URL \(Invalid URL\), takes .*e\.g\. 'redis:/,
    ],
    ['postgres://ann:hunter22@one:1,two:2/db', /^--store: .*with one host/],
    [
      'redis://:hunter22/3@host',
      /^--store: redis: has \/ \? # or a bare % before an @: write \/ as %2F/,
    ],
    ['postgres://ann:50%hunter22@host/app', /^--store: postgres: has .* and % as %25$/],
    ['postgres:db', /^--store: .*e\.g\. 'postgres:/],
  ])('%s is refused, and no secret is shown', async (url, message) => {
    const error = await chosen(url).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).message).toMatch(message);
    expect(String(error)).not.toContain('hunter22');
  });
});
