import { expect, test } from 'vitest';
import { LongBody } from '../../src/http/long-body.ts';
import { SlowReaders } from '../../src/http/slow-readers.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const TEXT = 'ж'.repeat(100_000);
const BYTES = 200_000;

function readersOf(bytes = Infinity) {
  const { answers } = memoryRows(bytes, 0.5);
  const cut: string[] = [];
  const time = createFakeTime();
  const readers = new SlowReaders({ time, memory: answers, writeTimeoutMs: 60_000, onCut: (why) => cut.push(why) });
  return { answers, cut, readers };
}

test('a long answer is charged until its reader has taken it, and arrives whole', async () => {
  const { answers, readers } = readersOf();
  const body = new LongBody(TEXT, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  expect(await new Response(body.stream).text()).toBe(TEXT);
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
});

test('a client that leaves gives the bytes back', async () => {
  const { answers, readers } = readersOf();
  const body = new LongBody(TEXT, 'user ann', readers);
  const reader = body.stream.getReader();
  await reader.read();
  await reader.cancel();
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
});

test('a user past its share loses the answer that is pending the longest, and others keep theirs', async () => {
  const { answers, cut, readers } = readersOf(5 * BYTES);
  const other = new LongBody(TEXT, 'user bob', readers);
  const [first] = Array.from({ length: 3 }, () => new LongBody(TEXT, 'user ann', readers));
  expect(cut).toEqual(['memory']);
  expect(answers.used).toBe(3 * BYTES);
  await expect(new Response(first?.stream).text()).rejects.toThrow(/The connection was cut/);
  expect(await new Response(other.stream).text()).toBe(TEXT);
});
