/** A response with JSON answers: one body, however late, and no listener that a call within its turn would pay for. */
import { describe, expect, test } from 'vitest';
import type { Exchange } from '../../src/http/exchange.ts';
import { KeepAlive } from '../../src/http/keep-alive.ts';
import { HttpResponse, type ResponsePolicy } from '../../src/http/response.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/** Records what an exchange sends, and who listens to its close. */
function open(form: ResponsePolicy['form']) {
  const sent: string[] = [];
  const closing: Array<() => unknown> = [];
  const over: unknown[] = [];
  const exchange = {
    respond: (status: number, _: unknown, body = '') => sent.push(`${status} ${body}`),
    openStream: () => sent.push('head'),
    write: (text: string) => sent.push(text),
    onClose: (fn: () => unknown) => closing.push(fn),
    pendingBytes: 0,
  };
  const keepAlive = new KeepAlive(createFakeTime(), Infinity);
  const response = new HttpResponse(exchange as unknown as Exchange, { form, keepAlive, bufferBytes: 1 });
  response.listener = { over: (reader) => over.push(reader) };
  return { response, sent, closing, over };
}

describe('a JSON response', () => {
  test('leaves at the end of its turn, and listens to no close', async () => {
    const { response, sent, closing, over } = open('json');
    response.point('id', 1, true);
    response.message('1', 'id');
    response.end();
    expect(sent).toEqual([]);
    await turn();
    expect(sent).toEqual(['200 1']);
    expect(closing).toHaveLength(0);
    expect(over).toEqual([response]);
  });

  test('of a batch is an array of the answers, however late they are', async () => {
    const { response, sent } = open('batch');
    response.message('1');
    for (let n = 0; n < 3; n++) await turn();
    expect(sent).toEqual([]);
    response.message('2');
    response.end();
    expect(sent).toEqual(['200 [1,2]']);
  });

  test('of a batch of one is an array too', async () => {
    const { response, sent } = open('batch');
    response.message('1');
    response.end();
    await turn();
    expect(sent).toEqual(['200 [1]']);
  });

  test('is 202 when every request of it was cancelled', async () => {
    const { response, sent } = open('batch');
    await turn();
    response.end();
    expect(sent).toEqual(['202 ']);
  });

  test('whose client leaves after the turn tells its stream once, and sends nothing', async () => {
    const { response, sent, closing, over } = open('json');
    await turn();
    expect(closing).toHaveLength(1);
    closing[0]?.();
    expect(over).toEqual([response]);
    expect(response.isOpen).toBe(false);
    response.message('1');
    response.end();
    await turn();
    expect(sent).toEqual([]);
    expect(over).toHaveLength(1);
  });
});
