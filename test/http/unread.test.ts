/** How far the client of a stream may be behind (`limits.streamBufferBytes`). */
import { expect, test } from 'vitest';
import { UNREAD_BYTES, UnreadAnswers } from '../../src/http/unread.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { turns } from '../kit/until.ts';

const LIMIT = 2 * UNREAD_BYTES;

test('whatever a turn writes may wait, each time that its client was within the limit before', async () => {
  const cut: string[] = [];
  const policy = { writeTimeoutMs: 60_000, streamBufferBytes: LIMIT, onCut: (why: string) => cut.push(why) };
  const memory = memoryRows(Infinity).requests;
  const unread = new UnreadAnswers({ time: createFakeTime(), memory, ...policy });
  const answer = { pendingBytes: 0, share: 'a', cut() {} };
  const write = (bytes: number): void => {
    if (unread.isBehind(answer)) return;
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
