import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { writeLine } from '../../../src/base/options/log-fields.ts';
import { quoted, shown } from '../../../src/base/shown.ts';
import { hashOf } from '../../kit/log.ts';

const ID = 'Xq8Jt0b9R1mUeZKf7w3hGg';
const line = (fields: object, message = 'm') => writeLine(fields, message);
const errorOf = (err: unknown, more: object = {}): Error =>
  (line({ ...more, err })[0] as { err: Error }).err;

describe('a client value in a text', () => {
  test('has at most 64 characters', () => {
    expect(shown('a'.repeat(64))).toBe('a'.repeat(64));
    expect(shown('a'.repeat(65))).toBe(`${'a'.repeat(63)}…`);
    expect(quoted('a'.repeat(65))).toBe(`"${'a'.repeat(63)}…"`);
  });

  test.each([
    ['a\r\nb', 'a\\u000d\\u000ab'],
    ['\u001b[2J', '\\u001b[2J'],
    ['\u009b1m\u2028\u202e', '\\u009b1m\\u2028\\u202e'],
    ['\ud800', '\\ud800'],
    ['näme 😀', 'näme 😀'],
  ])('%j is written as %s', (text, written) => {
    expect(shown(text)).toBe(written);
  });

  test('is quoted as JSON writes it', () => {
    expect([
      quoted('a"b'),
      quoted('\n'),
      quoted(5),
      quoted(null),
      quoted(true),
      quoted({ a: 1 }),
      quoted([1]),
    ]).toEqual(['"a\\"b"', '"\\n"', '5', 'null', 'true', 'an object', 'an array']);
  });
});

describe('a session id', () => {
  test('is a hash in its field, in the message and in an error with its causes', () => {
    const cause = Object.assign(new Error(`key ${ID} is gone`), { detail: `Key (id)=(${ID})` });
    const err = new Error(`session ${ID} failed`, { cause });
    const [fields, message] = line({ sessionId: ID, err }, `session ${ID} ends`);
    expect(message).toBe(`session ${hashOf(ID)} ends`);
    expect(fields).toMatchObject({ sessionId: hashOf(ID) });
    const text = inspect(fields, { depth: 9, showHidden: true });
    expect(text).not.toContain(ID);
    expect(text.split(hashOf(ID)).length).toBeGreaterThan(4);
  });

  test('that an application made is not looked for in the text when it is short', () => {
    expect(line({ sessionId: 'the' }, 'the store')).toEqual([
      { sessionId: hashOf('the') },
      'the store',
    ]);
  });
});

describe('an error', () => {
  test('is written with its class, message, code, frames, errors and causes', () => {
    const cause = Object.assign(new TypeError('why'), { code: 'E' });
    const err = new AggregateError([new Error('one'), new Error('two')], 'short', { cause });
    const written = errorOf(err) as AggregateError;
    expect(written).toBeInstanceOf(AggregateError);
    expect([written.message, written.stack]).toEqual([err.message, err.stack]);
    expect(written.errors).toMatchObject([{ message: 'one' }, { message: 'two' }]);
    expect(written.cause).toBeInstanceOf(TypeError);
    expect(written.cause).toMatchObject({ message: 'why', code: 'E', stack: cause.stack });
  });

  test('is written where its class has getters, as that of an aborted fetch has', () => {
    const { reason } = AbortSignal.abort() as { readonly reason: DOMException };
    expect(inspect(errorOf(new Error('away', { cause: reason })))).toMatch(
      /\[cause\]: .*AbortError/s,
    );
    expect(errorOf(reason)).toMatchObject({
      name: 'AbortError',
      message: reason.message,
      stack: reason.stack,
    });
  });

  test('keeps all that when its texts are cut', () => {
    class Odd extends TypeError {}
    const err = Object.assign(new Odd('x'.repeat(5_000)), { code: 'ODD' });
    const written = errorOf(err) as Odd & { code: string };
    expect(written).toBeInstanceOf(Odd);
    expect([written.message.length, written.code]).toEqual([1_024, 'ODD']);
    expect(written.stack).toMatch(/^TypeError: x+…\n +at .*log-fields\.test\.ts/);
    expect((written.stack ?? '').length).toBeLessThanOrEqual(4_096);
    expect(err.message.length).toBe(5_000);
  });

  test('has one line of message and no frame that a client made up', () => {
    const forged = 'bad\n    at forged (secrets.ts:1:1)\u001b[1A';
    const { message, stack } = errorOf(new Error(forged));
    expect(message).toBe('bad\\u000a    at forged (secrets.ts:1:1)\\u001b[1A');
    expect(stack?.split('\n')[1]).not.toContain('forged');
    const changed = new Error('first');
    changed.message = forged;
    expect(errorOf(changed).stack?.split('\n')[0]).toBe(`Error: ${message}`);
  });

  test('shows no credential, wherever it carries one', () => {
    const secret = 's3cret';
    const request = new Request('http://a.example', { headers: { authorization: secret } });
    const err = Object.assign(new Error('refused'), {
      authInfo: { token: secret, clientId: 'c' },
      config: { headers: { 'x-own': secret }, rawHeaders: ['authorization', secret] },
      Cookie: secret,
      'x-lab': secret,
      request,
      errors: [Object.assign(new Error('inner'), { access_token: secret })],
    });
    const [fields] = line({ err: new Error('outer', { cause: err }), thrown: { token: secret } });
    const text = inspect(fields, { depth: 12, showHidden: true });
    expect(text).not.toContain(secret);
    expect(text).toContain('refused');
  });

  test('of any shape costs little', () => {
    const cyclic: Record<string, unknown> = {};
    for (let n = 0; n < 1_000; n++) cyclic[`k${n}`.padEnd(500, 'k')] = cyclic;
    const deep = Array.from({ length: 500 }).reduce<Error>(
      (cause) => new Error('y'.repeat(3_000), { cause }),
      new Error(),
    );
    const [fields] = line({
      a: cyclic,
      err: Object.assign(deep, { all: cyclic, many: Array(100_000).fill('z') }),
    });
    expect(inspect(fields, { depth: 20 }).length).toBeLessThan(100_000);
  });

  test('whose members throw does not lose its line', () => {
    const err = Object.defineProperty(new Error('x'), 'cause', {
      get() {
        throw new Error('trapped');
      },
    });
    expect(line({ err }, 'still here')).toEqual([
      { err: 'an error that cannot be read' },
      'still here',
    ]);
  });
});
