/** What a response sends when, in each form, and that a call within its turn pays for no close listener. */
import { describe, expect, test } from 'vitest';
import type { Exchange } from '../../src/http/exchange.ts';
import { HttpResponse } from '../../src/http/response.ts';
import type { ResponsePolicy } from '../../src/http/sink.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { turns } from '../kit/until.ts';

/** Records what an exchange sends, and who listens to its close. */
function open(
  form: ResponsePolicy['form'],
  more: Partial<ResponsePolicy> = {},
  keepAliveMs = Infinity,
) {
  const time = createFakeTime();
  const sent: string[] = [];
  const closing: Array<() => unknown> = [];
  const over: unknown[] = [];
  const exchange = {
    respond: (status: number, _: unknown, body = '') => sent.push(`${status} ${body}`),
    openStream: () => sent.push('head'),
    write: (text: string) => sent.push(text.replace(/(?:event|data): |message\n|\n\n$/g, '')),
    end: () => sent.push('end'),
    refused: () => undefined,
    method: 'POST',
    header: () => 'session',
    closed: false,
    onClose: (fn: () => unknown) => closing.push(fn),
    pendingBytes: 0,
    host: { time, keepAliveMs },
  };
  const response = new HttpResponse(exchange as unknown as Exchange, { form, ...more });
  response.listener = { sinkClosed: (reader) => over.push(reader) };
  response.begin();
  return { response, sent, closing, over, time, exchange };
}

/** A stream of a session, whose store takes an event. */
function storing() {
  const made = open('events', { headMs: 5 });
  const stream = { flushing: true, sinkClosed: (reader: unknown) => void made.over.push(reader) };
  made.response.listener = stream;
  return { ...made, stream };
}

describe('a JSON response', () => {
  test('leaves at the end of its turn, and listens to no close', async () => {
    const { response, sent, closing, over } = open('json');
    response.point('id', 1, true);
    response.message('1', 'id');
    response.end();
    expect(sent).toEqual([]);
    await turns();
    expect(sent).toEqual(['200 1']);
    expect(closing).toHaveLength(0);
    expect(over).toEqual([response]);
  });

  test.each(['json', 'events'] as const)(
    'in the form %s a large answer leaves when it is complete, and is charged from then on',
    async (form) => {
      const { response, sent } = open(form);
      response.message(`"${'x'.repeat(70_000)}"`);
      expect(sent).toEqual([]);
      response.end();
      expect(sent).toHaveLength(1);
      await turns();
      expect(sent).toHaveLength(1);
    },
  );

  test('of long answers is charged from the first one on, and a stream of them is written as they come', () => {
    const long = `"${'x'.repeat(70_000)}"`;
    const [events, batch] = [open('events'), open('batch')];
    let room = 100_000;
    const holds = (bytes: number) => (room -= bytes) > 0;
    Object.assign(batch.exchange, { holds, cut: () => batch.sent.push('cut') });
    for (const { response } of [events, batch]) for (let n = 0; n < 2; n++) response.message(long);
    expect(events.sent.map(({ length }) => length)).toEqual(
      ['head', long, long].map(({ length }) => length),
    );
    expect(batch.sent).toEqual(['cut']);
  });

  test('is 202 when every request of it was cancelled', async () => {
    const { response, sent } = open('batch');
    await turns();
    response.end();
    expect(sent).toEqual(['202 ']);
  });
});

describe('a stream', () => {
  const MINUTE_MS = 60_000;

  test('gets a comment in each interval while its client has taken everything, until it ends', async () => {
    const { response, sent, time, exchange } = open('events', {}, 15_000);
    await turns();
    await time.advance(2 * 15_000);
    exchange.pendingBytes = 1;
    await time.advance(15_000);
    response.end();
    expect(sent).toEqual(['head', ': keepalive', ': keepalive', 'end']);
    expect(time.pendingTimers).toBe(0);
    await time.advance(MINUTE_MS);
    expect(sent).toHaveLength(4);
  });

  test('ends when a token of forty days has expired, and not sooner', async () => {
    const dayMs = 86_400_000;
    const { response, sent, exchange, time } = open('events', { endsWithToken: true });
    // As the timers of the system, which end within 25 days.
    const setTimeout = (fn: () => void, ms: number) =>
      time.setTimeout(fn, Math.min(ms, 2 ** 31 - 1));
    Object.assign(exchange.host, { time: { ...time, setTimeout } });
    Object.assign(exchange, { authInfo: { expiresAt: (time.now() + 40 * dayMs) / 1_000 } });
    response.message('1');
    await turns();
    await time.advance(39 * dayMs);
    expect(sent).toEqual(['head', '1']);
    await time.advance(dayMs);
    expect(sent).toEqual(['head', '1', 'end']);
  });
});

describe('a response whose event is being stored', () => {
  test('leaves as one, when the store has taken its answer within that time', async () => {
    const { response, sent, time } = storing();
    await turns();
    await time.advance(4);
    response.message('1');
    response.end();
    expect(sent).toEqual(['200 event: message\ndata: 1\n\n']);
    expect(time.pendingTimers).toBe(0);
  });

  test('is withdrawn, begins again, and listens to its client once', async () => {
    const { closing, response, sent, stream, time } = storing();
    await turns();
    response.withdraw();
    response.listener = stream;
    response.begin();
    await turns();
    await time.advance(5);
    expect(sent).toEqual(['head']);
    expect(closing).toHaveLength(1);
  });
});

describe('a response whose head waits', () => {
  test('is a stream when something precedes the answer, and each frame is written alone', async () => {
    const { response, sent } = open('auto', { headMs: 30 });
    response.listener = { opened: (sink) => sink.message('first'), sinkClosed: () => undefined };
    response.message('progress');
    response.message('1');
    response.end();
    await turns();
    expect(sent).toEqual(['head', 'first', 'progress', '1', 'end']);
  });
});
