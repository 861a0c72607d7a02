import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textArray } from '../../packages/postgres/src/text-array.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { connect } from './postgres-views.ts';

const sized = { minLength: 1, maxLength: 20 };
const text = fc.oneof(
  fc.constant(null),
  fc.constantFrom('', 'NULL', '{}', '"', '\\', ',', 'é🧪', 'x'.repeat(70_000)),
  fc.string({ unit: 'grapheme' }).map((one) => one.replaceAll('\0', '')),
);

describeWithServer('postgres', 'arrays', (server) => {
  test('come back as they were', async () => {
    const client = await connect(server().url);
    const back = async (type: string, array: unknown): Promise<unknown> =>
      (await client.query(`SELECT to_json($1::${type}[]) AS list`, [array])).rows[0].list;
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, sized),
        fc.array(fc.maxSafeInteger(), sized),
        fc.array(fc.integer(), sized),
        fc.array(fc.boolean(), sized),
        async (texts, bigs, integers, booleans) => {
          expect(await back('text', textArray(texts))).toEqual(texts);
          expect(await back('bigint', bigs)).toEqual(bigs);
          expect(await back('integer', integers)).toEqual(integers);
          expect(await back('boolean', booleans)).toEqual(booleans);
        },
      ),
      { numRuns: 100 },
    );
  });
});
