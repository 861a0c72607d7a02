/**
 * How far the client of a stream may be behind (`limits.streamBufferBytes`), and who is cut where memory is full.
 * `fetch-exchange.test.ts` has the shares of users, stalled clients, and what is given back.
 */
import { expect, test } from 'vitest';
import { UNREAD_BYTES, type UnreadAnswer, UnreadAnswers } from '../../src/http/unread.ts';
import { memoryRows } from '../../src/http/limits/memory-rows.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLab } from '../kit/lab.ts';
import { bothFaces, serve } from '../kit/serve.ts';
import { turns, until } from '../kit/until.ts';

const LIMIT = 2 * UNREAD_BYTES;

function start(memoryBytes: number, userShare = 0.5) {
  const cut: string[] = [];
  const policy = { streamBufferBytes: LIMIT, onCut: (why: string) => cut.push(why) };
  const memory = memoryRows(memoryBytes, userShare).requests;
  const time = createFakeTime();
  return { memory, cut, time, unread: new UnreadAnswers({ time, memory, ...policy }) };
}

test('whatever a turn writes may wait, each time that its client was within the limit before', async () => {
  const { cut, unread } = start(Infinity);
  const answer = { pendingBytes: 0, share: 'a', cut() {} };
  const write = (bytes: number): void => {
    if (unread.refuses(answer, bytes)) return;
    answer.pendingBytes += bytes;
    unread.note(answer);
  };
  for (const frames of [2, 8]) {
    for (let n = 0; n < frames; n++) write(LIMIT);
    await turns();
    answer.pendingBytes = UNREAD_BYTES;
  }
  expect(cut).toEqual([]);
  for (const frame of [2 * LIMIT, LIMIT, 1, 1]) {
    write(frame);
    await turns();
  }
  expect(cut).toEqual(['behind']);
});

// 86 batches of 27 answers, in one turn that lasted 71 s, had 10.8 GB of a process with a budget of 128 MB.
test('what a cut connection held counts in the share of its user until the turn is over', async () => {
  const { cut, memory, unread } = start(4 * LIMIT);
  const answer = (share: string) => ({ pendingBytes: 3 * LIMIT, share, cut() {} });
  unread.note(answer('a'));
  const [next, other] = [answer('a'), answer('b')].map((one) => ({ ...one, pendingBytes: 0 })) as [
    UnreadAnswer,
    UnreadAnswer,
  ];
  expect([
    unread.refuses(next, 100),
    unread.refuses(next, LIMIT),
    unread.refuses(other, LIMIT),
  ]).toEqual([false, true, false]);
  expect([cut, memory.used, memory.take(1, 0, 'a'), memory.take(1, 0, 'b')]).toEqual([
    ['memory', 'memory'],
    0,
    false,
    true,
  ]);
  await turns();
  expect([unread.refuses(next, LIMIT), memory.take(1, 0, 'a')]).toEqual([false, true]);
});

test.each(bothFaces)(
  'a stream that is cut in a turn with many messages is cut once (%s)',
  async (face) => {
    const lab = createLab();
    const options = {
      limits: { memoryBytes: 1_000_000, userShare: 1 },
      eventRetention: false,
    } as const;
    const { openSession, log } = await serve(lab.factory, options, { face });
    const one = await openSession();
    const stream = await one.get();
    stream.pause();
    const data = 'x'.repeat(30_000);
    for (let n = 0; n < 200; n++)
      void lab.made[0]?.server.sendLoggingMessage({ level: 'info', data });
    await until(() => log.matching(/A connection is cut/, 'warn').length > 0);
    expect(log.matching(/A connection is cut/, 'warn')).toHaveLength(1);
  },
);

test('while the budget is full, the reader without progress for the longest is cut first, and no more than needed', async () => {
  const { cut, memory, time, unread } = start(1_000_000, 1);
  const reader = () => ({
    pendingBytes: 400_000,
    share: 'a',
    isCut: false,
    cut() {
      this.isCut = true;
      unread.forget(this);
    },
  });
  const [oldest, reading, newest] = [reader(), reader(), reader()];
  unread.note(reading);
  await time.advance(1_000);
  unread.note(oldest);
  await time.advance(1_000);
  reading.pendingBytes = 390_000;
  await time.advance(2_000);
  unread.note(newest);
  expect([oldest.isCut, reading.isCut, newest.isCut]).toEqual([true, false, false]);
  expect([cut, memory.used]).toEqual([['memory'], 790_000]);
  for (let n = 0; n < 2; n++) unread.stalled(newest);
  expect([cut, memory.used]).toEqual([['memory', 'stalled'], 390_000]);
  unread.stop();
});
