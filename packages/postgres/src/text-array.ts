/**
 * Arrays of texts in PostgreSQL's binary format: the store quotes nothing and the server parses no quotes. `pg` quotes
 * with regular expressions, which takes 3 s for a JSON text of 5 MB, and nothing else runs then.
 * https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/arrayfuncs.c (array_recv)
 */
const HEAD_BYTES = 20;
const LENGTH_BYTES = 4;
const TEXT_OID = 25;

/** One dimension; each element follows its length, which is -1 for null. */
export function textArray(texts: readonly (string | null)[]): Buffer {
  let bytes = 0;
  for (const text of texts) if (text !== null) bytes += Buffer.byteLength(text);
  const array = Buffer.allocUnsafe(HEAD_BYTES + texts.length * LENGTH_BYTES + bytes);
  array.writeInt32BE(1, 0);
  // 1: the array may contain nulls.
  array.writeInt32BE(1, 4);
  array.writeInt32BE(TEXT_OID, 8);
  array.writeInt32BE(texts.length, 12);
  // The lower bound: PostgreSQL counts from 1.
  array.writeInt32BE(1, 16);
  let at = HEAD_BYTES;
  for (const text of texts) {
    const length = text === null ? -1 : array.write(text, at + LENGTH_BYTES);
    array.writeInt32BE(length, at);
    at += LENGTH_BYTES + Math.max(0, length);
  }
  return array;
}
