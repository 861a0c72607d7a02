/** A handler of `once()`, on every way of a request into a server: each version of the SDK, in each era. */
import { describe, expect, test } from 'vitest';
import type { Middleware, McpEndpointOptions } from '../../../src/index.ts';
import { once, type OnceOptions } from '../../../src/durable/once/index.ts';
import type { JsonRpcAnswer } from '../../kit/raw-client.ts';
import { type Add, type Ask, type Way, ways, type Wrap } from '../../kit/around.ts';
import { textOf } from '../../kit/lab.ts';

type Options = Omit<OnceOptions<unknown[], never>, 'key'>;

const keyed =
  (options: Options): Wrap =>
  (handler) =>
    once(handler, {
      ...options,
      key: (...given: unknown[]) => `k${(given[0] as { a: number }).a}`,
    });

const sum = (ask: Ask, a = 1, b = 2) => ask('tools/call', { name: 'add', arguments: { a, b } });
const replayed = ({ result }: JsonRpcAnswer): unknown =>
  (result as { _meta?: Record<string, unknown> } | undefined)?._meta?.['sojourn/replayed'];

describe.each(ways)('$name', (way: Way) => {
  async function open(
    run: Add,
    options: McpEndpointOptions = {},
    more: Options = { anonymous: 'shared' },
  ) {
    const ran: number[] = [];
    const add: Add = (value, signal) => {
      ran.push(value);
      return run(value, signal);
    };
    const { ask, served } = await way.open(add, options, keyed(more));
    return { ask, ran, served };
  }

  test('a call with the same key and arguments gets the recorded result, and other arguments are refused', async () => {
    const { ask, ran } = await open((value) => value);
    const first = await sum(ask);
    expect([textOf(first), replayed(first)]).toEqual(['3', undefined]);
    const second = await sum(ask);
    expect([textOf(second), replayed(second)]).toEqual(['3', true]);
    expect((await ask('tools/call', { name: 'add', arguments: { b: 2, a: 1 } })).result).toEqual(
      second.result,
    );
    expect((await sum(ask, 1, 7)).error).toMatchObject({
      code: -32_602,
      data: { reason: 'once_conflict' },
    });
    expect(textOf(await sum(ask, 2, 2))).toBe('4');
    expect(ran).toEqual([3, 4]);
  });

  test('without a user, keys are of the session, and without both the call is refused', async () => {
    const { ask, ran, served } = await open((value) => value, {}, {});
    const answer = await sum(ask);
    if (way.inSession) expect(textOf(answer)).toBe('3');
    else
      expect(answer.error).toMatchObject({
        code: -32_600,
        data: { reason: 'once_needs_user' },
      });
    expect(ran).toEqual(way.inSession ? [3] : []);
    expect(served.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('arguments are compared as the client sent them, and middleware sees the refusal', async () => {
    const seen: unknown[] = [];
    let n = 0;
    const middleware: Middleware = async (request, next) => {
      if (request.method !== 'tools/call') return next();
      n += 1;
      const answer = await next({
        params: { ...request.params, arguments: { ...request.arguments, extra: n } },
      });
      seen.push(answer.error?.data ?? 'result');
      return answer;
    };
    const { ask, ran } = await open((value) => value, { middleware });
    expect(textOf(await sum(ask))).toBe('3');
    expect(replayed(await sum(ask))).toBe(true);
    expect((await sum(ask, 1, 7)).error).toMatchObject({ data: { reason: 'once_conflict' } });
    expect(seen).toEqual(['result', 'result', { reason: 'once_conflict' }]);
    expect(ran).toEqual([3]);
  });
});
