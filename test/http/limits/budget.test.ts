import { describe, expect, test } from 'vitest';
import { memoryRows } from '../../../src/http/limits/memory-rows.ts';

const KIB = 1024;
const ANN = 'user ann';
const BOB = 'user bob';

describe('the memory budget', () => {
  test('refuses a large body past the budget, and a small one past its reserve', () => {
    const row = memoryRows(200 * KIB).requests;
    expect(row.take(190 * KIB, 0, ANN)).toBe(true);
    expect(row.take(40 * KIB, 0, ANN)).toBe(false);
    expect(row.used).toBe(190 * KIB);
    expect(row.take(20 * KIB, 0, ANN)).toBe(true);
    expect(row.budget.full).toBe(true);
    expect(row.take(32 * KIB, 0, ANN)).toBe(true);
    expect(row.take(32 * KIB, 0, ANN)).toBe(false);
    row.give(190 * KIB, ANN);
    expect(row.take(60 * KIB, 0, ANN)).toBe(true);
  });

  test('a request that grows by small pieces is a large one', () => {
    const budget = memoryRows(100 * KIB).requests;
    budget.charge(100 * KIB, ANN);
    expect(budget.take(8 * KIB, 0, ANN)).toBe(true);
    expect(budget.take(8 * KIB, 8 * KIB, ANN)).toBe(true);
    expect(budget.take(1, 32 * KIB, ANN)).toBe(false);
  });
});

describe('the share of a user', () => {
  test('one user may hold half of what the others leave free, in all rows together', () => {
    const { requests, sessions } = memoryRows(800 * KIB, 0.5);
    expect(requests.take(300 * KIB, 0, ANN)).toBe(true);
    expect(sessions.take(101 * KIB, 0, ANN)).toBe(false);
    expect(sessions.take(100 * KIB, 0, ANN)).toBe(true);
    expect([requests.budget.isOver(ANN), requests.budget.isOver(ANN, 1)]).toEqual([false, true]);
    // Half of the 400 KiB that are left.
    expect(requests.take(201 * KIB, 0, BOB)).toBe(false);
    expect(requests.take(200 * KIB, 0, BOB)).toBe(true);
    // What Bob holds is not free for Ann, who is past her share now.
    expect([requests.budget.isOver(ANN), requests.take(40 * KIB, 0, ANN)]).toEqual([true, false]);
    requests.give(300 * KIB, ANN);
    expect(requests.take(200 * KIB, 0, ANN)).toBe(true);
    expect([requests.used, sessions.used]).toEqual([400 * KIB, 100 * KIB]);
  });

  test('each user whose answer found no room is short until there is room for it', () => {
    const { budget } = memoryRows(400 * KIB, 0.5).answers;
    budget.charge(300 * KIB, undefined);
    for (const user of [ANN, BOB]) budget.refused(60 * KIB, user);
    expect([ANN, BOB, 'user eve'].map((user) => budget.isShort(user))).toEqual([true, true, false]);
    budget.charge(-300 * KIB, undefined);
    expect(budget.isShort(ANN)).toBe(false);
    budget.charge(300 * KIB, undefined);
    expect(budget.isShort(ANN)).toBe(false);
  });

  test('with a share of 1, one user may hold everything', () => {
    const { requests } = memoryRows(800 * KIB, 1);
    expect([requests.take(800 * KIB, 0, ANN), requests.budget.isOver(ANN)]).toEqual([true, false]);
  });
});
