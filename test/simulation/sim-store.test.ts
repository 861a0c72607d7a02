import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { StoreUnderTest } from '../store-contract/contract/store-kit.ts';
import { casesFor, contractTests, idsBut, MOVED_CLOCK } from '../stores/contract.ts';
import { SimStore, StoreServer, type Port } from './sim-store.ts';

const applies = casesFor(...MOVED_CLOCK);

const faultless: Port = {
  process: { name: 'i0' },
  call: async (_, effect) => {
    await turn();
    const outcome = await effect();
    await turn();
    return outcome;
  },
  asked: (_, call) => call(),
  arrive: (fn) => queueMicrotask(fn),
  notice: (fn) => queueMicrotask(fn),
};

function underTest(): StoreUnderTest {
  const time = createFakeTime(Date.UTC(2026, 10, 1));
  // A clock that is set back, for the cases that need it.
  let setBackMs = 0;
  const server = new StoreServer({ now: () => time.now() - setBackMs, clockGoodMs: 0 });
  const pass = async (ms: number): Promise<void> => {
    if (ms < 0) setBackMs -= ms;
    else await time.advance(ms);
  };
  return { connect: () => new SimStore(server, faultless), time, pass };
}

describe('the simulated store, without faults, keeps the contract', () => {
  contractTests(applies, underTest);

  test('but for what one process holds: a store shared by several holds none', () => {
    expect(idsBut(...applies)).toEqual(['forget/all']);
  });
});
