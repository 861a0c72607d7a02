/** How far the client of a stream may be behind (`limits.streamBufferBytes`). */
import { expect, test } from 'vitest';
import { UNREAD_BYTES, type UnreadAnswer, UnreadAnswers } from '../../src/http/unread.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { turns } from '../kit/until.ts';

const LIMIT = 2 * UNREAD_BYTES;

function start(memoryBytes: number) {
  const cut: string[] = [];
  const policy = { streamBufferBytes: LIMIT, onCut: (why: string) => cut.push(why) };
  const memory = memoryRows(memoryBytes, 0.5).requests;
  return { memory, cut, unread: new UnreadAnswers({ time: createFakeTime(), memory, ...policy }) };
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
  expect([unread.refuses(next, 100), unread.refuses(next, LIMIT), unread.refuses(other, LIMIT)]).toEqual([
    false,
    true,
    false,
  ]);
  expect([cut, memory.used, memory.take(1, 0, 'a'), memory.take(1, 0, 'b')]).toEqual([
    ['memory', 'memory'],
    0,
    false,
    true,
  ]);
  await turns();
  expect([unread.refuses(next, LIMIT), memory.take(1, 0, 'a')]).toEqual([false, true]);
});
