/**
 * Arrays as PostgreSQL reads them in binary: nothing in them is quoted by us, nor unquoted by the server.
 * https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/arrayfuncs.c (array_recv)
 */
const HEAD_BYTES = 20;
const OID = { bool: 16, int8: 20, int4: 23, text: 25 } as const;

function arrayOf(oid: number, count: number, bytes: number, hasNull: boolean): Buffer {
  const array = Buffer.allocUnsafe(HEAD_BYTES + bytes + count * 4);
  for (const [n, head] of [1, hasNull ? 1 : 0, oid, count, 1].entries()) array.writeInt32BE(head, n * 4);
  return array;
}

/** Not empty. */
export function textArray(texts: readonly (string | null)[]): Buffer {
  let bytes = 0;
  for (const text of texts) if (text !== null) bytes += Buffer.byteLength(text);
  const array = arrayOf(OID.text, texts.length, bytes, true);
  let at = HEAD_BYTES;
  for (const text of texts) {
    const length = text === null ? -1 : array.write(text, at + 4);
    array.writeInt32BE(length, at);
    at += 4 + Math.max(0, length);
  }
  return array;
}

/** Not empty; whole numbers that JavaScript has exactly. */
export function bigintArray(numbers: readonly number[]): Buffer {
  const array = arrayOf(OID.int8, numbers.length, numbers.length * 8, false);
  for (const [n, number] of numbers.entries()) {
    array.writeInt32BE(8, HEAD_BYTES + n * 12);
    array.writeBigInt64BE(BigInt(number), HEAD_BYTES + n * 12 + 4);
  }
  return array;
}

/** Not empty. */
export function integerArray(numbers: readonly number[]): Buffer {
  const array = arrayOf(OID.int4, numbers.length, numbers.length * 4, false);
  for (const [n, number] of numbers.entries()) {
    array.writeInt32BE(4, HEAD_BYTES + n * 8);
    array.writeInt32BE(number, HEAD_BYTES + n * 8 + 4);
  }
  return array;
}

/** Not empty. */
export function booleanArray(values: readonly boolean[]): Buffer {
  const array = arrayOf(OID.bool, values.length, values.length, false);
  for (const [n, value] of values.entries()) {
    array.writeInt32BE(1, HEAD_BYTES + n * 5);
    array.writeUInt8(value ? 1 : 0, HEAD_BYTES + n * 5 + 4);
  }
  return array;
}
