import { describe, expect, test } from 'vitest';
import { MemoryBudget } from '../../src/limits/memory-budget.ts';
import { SlowReaders, type SlowReader } from '../../src/http/slow-readers.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const KIB = 1024;

describe('the memory budget', () => {
  test('refuses a large body past the budget, and a small one past its reserve', () => {
    const budget = new MemoryBudget(200 * KIB);
    expect(budget.take(190 * KIB, 0)).toBe(true);
    expect(budget.take(40 * KIB, 0)).toBe(false);
    expect(budget.used).toBe(190 * KIB);
    expect(budget.take(20 * KIB, 0)).toBe(true);
    expect(budget.full).toBe(true);
    expect(budget.take(32 * KIB, 0)).toBe(true);
    expect(budget.take(32 * KIB, 0)).toBe(false);
    budget.give(190 * KIB);
    expect(budget.take(60 * KIB, 0)).toBe(true);
  });

  test('a request that grows by small pieces is a large one', () => {
    const budget = new MemoryBudget(100 * KIB);
    budget.charge(100 * KIB);
    expect(budget.take(8 * KIB, 0)).toBe(true);
    expect(budget.take(8 * KIB, 8 * KIB)).toBe(true);
    expect(budget.take(1, 32 * KIB)).toBe(false);
  });
});

describe('slow readers', () => {
  const start = (bytes: number) => {
    const time = createFakeTime();
    const memory = new MemoryBudget(bytes);
    const cuts: string[] = [];
    const readers = new SlowReaders({ time, memory, writeTimeoutMs: 60_000, onCut: (why) => cuts.push(why) });
    const reader = (pendingBytes: number): SlowReader & { pendingBytes: number; isCut: boolean } => ({
      pendingBytes,
      isCut: false,
      cut() {
        this.isCut = true;
        readers.over(this);
      },
    });
    return { time, memory, readers, cuts, reader };
  };

  test('their pending bytes are charged, follow what the client takes, and are given back at the end', async () => {
    const { time, memory, readers, reader } = start(1_000 * KIB);
    const one = reader(200 * KIB);
    expect(readers.note(one)).toBe(true);
    expect(memory.used).toBe(200 * KIB);
    one.pendingBytes = 300 * KIB;
    expect(readers.note(one)).toBe(false);
    expect(memory.used).toBe(300 * KIB);
    one.pendingBytes = 100 * KIB;
    await time.advance(1_000);
    expect(memory.used).toBe(100 * KIB);
    readers.over(one);
    readers.over(one);
    expect(memory.used).toBe(0);
    readers.stop();
  });

  test('while the budget is full, the reader without progress for the longest is cut first, and no more than needed', async () => {
    const { time, memory, readers, reader, cuts } = start(1_000 * KIB);
    const [oldest, reading, newest] = [reader(400 * KIB), reader(400 * KIB), reader(400 * KIB)];
    readers.note(reading);
    await time.advance(1_000);
    readers.note(oldest);
    await time.advance(1_000);
    reading.pendingBytes = 390 * KIB;
    await time.advance(2_000);
    readers.note(newest);
    expect([oldest.isCut, reading.isCut, newest.isCut]).toEqual([true, false, false]);
    expect(cuts).toEqual(['memory']);
    expect(memory.used).toBe(790 * KIB);
    readers.stop();
  });

  test('a reader that is reported as stalled is cut once', () => {
    const { readers, reader, cuts, memory } = start(1_000 * KIB);
    const one = reader(100 * KIB);
    readers.note(one);
    readers.stalled(one);
    readers.stalled(one);
    expect([one.isCut, cuts, memory.used]).toEqual([true, ['stalled'], 0]);
  });
});
