/** The store of docs/internals/your-own.md: the contract and the model hold above a table of keys and values. */
import { describe, test } from 'vitest';
import { backendOn, keyValueStore, Table } from '../../../examples/own-store/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { backendTests, contractTests, storeContract } from '../../stores/contract.ts';
import { compareWithModel } from '../../stores/model-runs.ts';
import { newPath } from '../../stores/sqlite-views.ts';

describe('a store on a table of keys and values', () => {
  backendTests(() => {
    const file = newPath();
    return {
      connect: () => backendOn(new Table(file), { deployment: 'mcp', time: createFakeTime() }),
    };
  });

  contractTests(storeContract, () => {
    const file = newPath();
    return { connect: () => keyValueStore(file) };
  });

  test('answers as a plain model to random operations over two connections', async () => {
    const time = createFakeTime();
    const pass = (ms: number): Promise<void> => time.advance(ms);
    const file = newPath();
    await compareWithModel({ time, pass, connect: () => keyValueStore(file) }, 10);
  }, 120_000);
});
