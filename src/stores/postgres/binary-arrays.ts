/**
 * Arrays in PostgreSQL's binary format: the store quotes nothing and the server parses no quotes.
 * https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/arrayfuncs.c (array_recv)
 */
const HEAD_BYTES = 20;
const LENGTH_BYTES = 4;
const OID = { bool: 16, int8: 20, int4: 23, text: 25 } as const;
const HIGH = 2 ** 32;

/** One dimension; each element follows its length, which is -1 for null. */
function arrayOf(oid: number, count: number, bytes: number): Buffer {
  const array = Buffer.allocUnsafe(HEAD_BYTES + count * LENGTH_BYTES + bytes);
  array.writeInt32BE(1, 0);
  // 1: the array may contain nulls.
  array.writeInt32BE(1, 4);
  array.writeInt32BE(oid, 8);
  array.writeInt32BE(count, 12);
  // The lower bound: PostgreSQL counts from 1.
  array.writeInt32BE(1, 16);
  return array;
}

/** `texts` is not empty. */
export function textArray(texts: readonly (string | null)[]): Buffer {
  let bytes = 0;
  for (const text of texts) if (text !== null) bytes += Buffer.byteLength(text);
  const array = arrayOf(OID.text, texts.length, bytes);
  let at = HEAD_BYTES;
  for (const text of texts) {
    const length = text === null ? -1 : array.write(text, at + LENGTH_BYTES);
    array.writeInt32BE(length, at);
    at += LENGTH_BYTES + Math.max(0, length);
  }
  return array;
}

/** `numbers` is not empty and has safe integers only. */
export function bigintArray(numbers: readonly number[]): Buffer {
  const array = arrayOf(OID.int8, numbers.length, numbers.length * 8);
  let at = HEAD_BYTES;
  for (const number of numbers) {
    array.writeInt32BE(8, at);
    array.writeInt32BE(Math.floor(number / HIGH), at + 4);
    array.writeUInt32BE(((number % HIGH) + HIGH) % HIGH, at + 8);
    at += 12;
  }
  return array;
}

/** `numbers` is not empty. */
export function integerArray(numbers: readonly number[]): Buffer {
  const array = arrayOf(OID.int4, numbers.length, numbers.length * 4);
  let at = HEAD_BYTES;
  for (const number of numbers) {
    array.writeInt32BE(4, at);
    array.writeInt32BE(number, at + 4);
    at += 8;
  }
  return array;
}

/** `values` is not empty. */
export function booleanArray(values: readonly boolean[]): Buffer {
  const array = arrayOf(OID.bool, values.length, values.length);
  let at = HEAD_BYTES;
  for (const value of values) {
    array.writeInt32BE(1, at);
    array.writeUInt8(value ? 1 : 0, at + 4);
    at += 5;
  }
  return array;
}
