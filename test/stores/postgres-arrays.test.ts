import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bigintArray, booleanArray, integerArray, textArray } from '../../src/stores/postgres/binary-arrays.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { connect } from './postgres-views.ts';

const sized = { minLength: 1, maxLength: 20 };
const text = fc.oneof(
  fc.constant(null),
  fc.constantFrom('', 'NULL', '{}', '"', '\\', ',', 'é🧪', 'x'.repeat(70_000)),
  fc.string({ unit: 'grapheme' }).map((one) => one.replaceAll('\0', '')),
);

describeWithServer('postgres', 'arrays in binary', (server) => {
  test('come back as they were', async () => {
    const client = await connect(server().url);
    const back = async (type: string, array: Buffer): Promise<unknown> =>
      (await client.query(`SELECT to_json($1::${type}[]) AS list`, [array])).rows[0].list;
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, sized),
        fc.array(fc.maxSafeInteger(), sized),
        fc.array(fc.integer(), sized),
        fc.array(fc.boolean(), sized),
        async (texts, bigs, integers, booleans) => {
          expect(await back('text', textArray(texts))).toEqual(texts);
          expect(await back('bigint', bigintArray(bigs))).toEqual(bigs);
          expect(await back('integer', integerArray(integers))).toEqual(integers);
          expect(await back('boolean', booleanArray(booleans))).toEqual(booleans);
        },
      ),
      { numRuns: 100 },
    );
  });
});
