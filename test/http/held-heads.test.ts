import { describe, expect, test } from 'vitest';
import { HeldHeads } from '../../src/http/held-heads.ts';
import type { Exchange } from '../../src/http/exchange.ts';
import { KeepAlive } from '../../src/http/keep-alive.ts';
import type { SinkListener } from '../../src/http/sink.ts';
import { HttpResponse } from '../../src/http/response.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/** Records the writes of an exchange. */
function openResponse() {
  const time = createFakeTime();
  const left: string[] = [];
  const exchange = {
    respond: (status: number, _: unknown, body: string) => left.push(`${status} ${body}`),
    openStream: () => left.push('head'),
    write: (text: string) => left.push(text),
    end: () => left.push('end'),
    onClose: () => undefined,
    pendingBytes: 0,
  };
  const heldHeads = new HeldHeads(time);
  const keepAlive = new KeepAlive(time, Infinity);
  const response = new HttpResponse(exchange as unknown as Exchange, {
    form: 'events',
    keepAlive,
    bufferBytes: 1,
    heldHeads,
  });
  const listener = { flushing: true, sinkClosed: () => undefined };
  response.listener = listener satisfies SinkListener;
  response.begin();
  const frames = (): string[] => left.map((text) => text.replace(/(?:id|event): .*\n|\n+$/g, '').replace('data: ', ''));
  return { response, listener, time, frames };
}

describe('an answer that waits for the store', () => {
  test('leaves with its head in one piece when the store takes it', async () => {
    const { response, listener, frames, time } = openResponse();
    for (let n = 0; n < 5; n++) await turn();
    expect(frames()).toEqual([]);
    listener.flushing = false;
    response.message('"answer"');
    response.end();
    expect(frames()).toEqual(['200 "answer"']);
    await turn();
    await time.advance(50);
    expect(frames()).toHaveLength(1);
  });

  test('does not keep its head back for long', async () => {
    const { response, listener, frames, time } = openResponse();
    await turn();
    await time.advance(4);
    expect(frames()).toEqual([]);
    await time.advance(6);
    expect(frames()).toEqual(['head']);
    listener.flushing = false;
    response.message('"answer"');
    response.end();
    expect(frames()).toEqual(['head', '"answer"', 'end']);
  });

  test('is not kept back by what went before it: that leaves when the turn ends in which the store took it', async () => {
    const { response, listener, frames } = openResponse();
    await turn();
    listener.flushing = false;
    response.message('"progress"');
    expect(frames()).toEqual([]);
    await turn();
    expect(frames()).toEqual(['head', '"progress"']);
  });

  test('waits on when more of it is on its way', async () => {
    const { response, listener, frames } = openResponse();
    await turn();
    response.message('"progress"');
    await turn();
    expect(frames()).toEqual([]);
    listener.flushing = false;
    response.message('"answer"');
    response.end();
    expect(frames()[0]).toMatch(/^200 "progress"[^]*"answer"$/);
  });

  test('of many is released a few milliseconds after its own time, by one timer', async () => {
    const time = createFakeTime();
    const heads = new HeldHeads(time);
    const released: number[] = [];
    for (let n = 0; n < 4; n++) {
      heads.hold({ sendHeldHead: () => released.push(n) });
      await time.advance(3);
    }
    await time.advance(10);
    expect(released).toEqual([0, 1, 2, 3]);
  });
});
