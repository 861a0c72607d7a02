import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { storeOf } from '../../src/cli/store-url.ts';

const chosen = (url: string) => storeOf(url, '--store');

describe('the URL of a store', () => {
  test.each([
    ['memory:', 'memory', 'memory:', false],
    ['sqlite:./x.db', 'sqlite', `sqlite:${resolve('x.db')}`, false],
    ['redis://localhost', 'redis', 'redis://localhost', true],
    ['REDISS://ann:pw@db.example:6380/2', 'redis', 'REDISS://db.example:6380/2', true],
    ['postgres://ann:pw@db.example/app?sslmode=require', 'postgres', 'postgres://db.example/app', true],
    ['postgresql://ann@db.example/app', 'postgres', 'postgresql://db.example/app', true],
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
    ['postgres:db', /^--store: .*e\.g\. 'postgres:/],
  ])('%s is refused, and no secret is shown', async (url, message) => {
    const error = await chosen(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringMatching(message) as string });
    expect(String(error)).not.toContain('hunter22');
  });
});

const WORDS = ['password', 'redis', 'Secret', 'ADMIN', 'qkzvjwpxmbrt'];

describe('what is secret of it is taken out of every text', () => {
  const texts: Array<[url: string, text: string, cleaned: string]> = [
    ['redis://ann:hunter22@db', 'cannot reach redis://ann:hunter22@db', 'cannot reach redis://***@db'],
    ['redis://ann:hunter22@db', 'AUTH ann hunter22', 'AUTH ann ***'],
    ['redis://:p%40ss%22w@db', 'password is p@ss"w', 'password is ***'],
    // In a line of the log.
    ['redis://:p%40ss%22w@db', String.raw`{"msg":"p@ss\"w"}`, '{"msg":"***"}'],
    ['postgres://ann:p@ss:word@db/app', 'ann:p@ss:word@db', '***@db'],
    ['postgres://ann@db/app?password=hunter22&sslmode=require', 'hunter22 require ann', '*** require ann'],
    // Other spellings of one secret.
    ['redis://:a%2fb%2Cc%7Cd@db', 'a%2fb%2Cc%7Cd a/b,c|d a%2Fb%2Cc%7Cd a%2Fb,c%7Cd', '*** *** *** ***'],
    ['postgres://db/app?password=a%40b%3Dc+d&pool=2', '?password=a%40b%3Dc+d a@b=c+d a@b=c d', '?password=*** *** ***'],
    ['postgres://db/app?password=hunter2#22', '?password=hunter2#22 hunter2#', '?password=*** ***#'],
    // A secret that is a word is hidden in URLs and fields, and stays in sentences and names.
    ...WORDS.flatMap((word): typeof texts => [
      [`redis://ann:${word}@db`, `redis://ann:${word}@db :${word}@db`, 'redis://***@db :***@db'],
      [`redis://ann:${word}@db`, `wrong user and ${word} (${word} ${word}s, un${word} ${word}.)`, ''],
      [`redis://ann:${word}@db`, `at ${word} (/app/node_modules/${word}/${word}.js:2:3)`, ''],
      [`redis://ann:${word}@db`, `${word}://***: user and ${word} are refused`, ''],
      [
        `redis://ann:${word}@db`,
        `password=${word} password: ${word} AUTH ann ${word}`,
        'password=*** password: *** AUTH ann ***',
      ],
      [`redis://ann:${word}@db`, `{"password":"${word}","n":1}`, '{"password":"***","n":1}'],
      [`redis://ann:${word}@db`, `{\\"password\\":\\"${word}\\"}`, '{\\"password\\":\\"***\\"}'],
      [`redis://ann:${word}@db`, `[ 'AUTH', 'ann', '${word}' ]`, "[ 'AUTH', 'ann', '***' ]"],
      [`postgres://${word}:${word}@${word}/${word}`, `getaddrinfo ENOTFOUND ${word}, host: '${word}'`, ''],
      [
        `postgres://${word}:${word}@${word}/${word}`,
        `{"user":"${word}","password":"${word}"}`,
        `{"user":"${word}","password":"***"}`,
      ],
    ]),
    ['redis://ann:letmein@db', 'getaddrinfo ENOTFOUND letmein', 'getaddrinfo ENOTFOUND ***'],
    ['redis://:6379@db:6379', 'connect ECONNREFUSED 127.0.0.1:6379 {"port":6379,"time":163790}', ''],
    ['redis://:correcthorsebatterystaple@db', 'the correcthorsebatterystaple here', 'the *** here'],
    // A short secret is hidden at its place in the URL, and left alone in words.
    ['redis://:a@db', 'data at redis://:a@db', 'data at redis://***@db'],
    ['postgres://postgres@db/app', 'postgres at postgres@db', 'postgres at postgres@db'],
    ['memory:', 'memory:', 'memory:'],
  ];
  test.each(texts)('%s: %s', async (url, text, cleaned) => {
    expect((await chosen(url)).redact(text)).toBe(cleaned === '' ? text : cleaned);
  });
});
