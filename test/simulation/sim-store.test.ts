import { setImmediate as turn } from 'node:timers/promises';
import { describe } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { StoreUnderTest } from '../stores/contract/store-kit.ts';
import {
  backendTests,
  contractTests,
  kernelContract,
  sharedKernelContract,
  storeContract,
} from '../stores/contract.ts';
import { SimStore, StoreServer, type Port } from './sim-store.ts';

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
  const fake = createFakeTime(Date.UTC(2026, 10, 1));
  let setBackMs = 0;
  // A process whose date moves asks the store for its time again.
  const time = { ...fake, now: (): number => fake.now() - setBackMs };
  const server = new StoreServer(time);
  const pass = async (ms: number): Promise<void> => {
    if (ms < 0) setBackMs -= ms;
    else await fake.advance(ms);
  };
  return {
    connect: () => new SimStore(server, faultless),
    time,
    pass,
    entries: () => server.entries,
  };
}

describe('the rows of the simulated store', () => {
  backendTests(() => {
    const deployment = new StoreServer({ now: () => 0 }).deployment({
      deployment: 'mcp',
      leaseMs: 1_000,
    });
    return { connect: () => deployment.backend('i0') };
  });
});

describe('the simulated store, without faults, keeps the contract', () => {
  contractTests([...kernelContract, ...sharedKernelContract, ...storeContract], underTest);
});
