/** The store of docs/internals/your-own.md: the contract and the model hold above a table of keys and values. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, test } from 'vitest';
import { backendOn, keyValueStore, Table } from '../../examples/own-store/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { backendTests, contractTests, storeContract } from '../stores/contract.ts';
import { compareWithModel } from '../stores/model-runs.ts';

const folder = mkdtempSync(join(tmpdir(), 'sojourn-own-store-'));
let files = 0;
const newFile = (): string => join(folder, `${(files += 1)}.db`);
afterAll(() => rmSync(folder, { recursive: true }));

describe('a store on a table of keys and values', () => {
  backendTests(() => {
    const file = newFile();
    return { connect: () => backendOn(new Table(file), { name: 'mcp', time: createFakeTime() }) };
  });

  contractTests(storeContract, () => {
    const file = newFile();
    return { connect: () => keyValueStore(file) };
  });

  test('answers as a plain model to random operations over two connections', async () => {
    const time = createFakeTime();
    const pass = (ms: number): Promise<void> => time.advance(ms);
    const file = newFile();
    await compareWithModel({ time, pass, connect: () => keyValueStore(file) }, 10);
  }, 120_000);
});
