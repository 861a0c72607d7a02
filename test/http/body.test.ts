import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Body } from '../../src/http/body.ts';

const holder = (room = Infinity) => {
  let held = 0;
  return {
    holds(bytes: number): boolean {
      if (held + bytes > room) return false;
      held += bytes;
      return true;
    },
  };
};

const chunks = fc
  .array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 3_000 }), fc.constantFrom(1_023, 1_024, 16_384, 20_000)), {
    minLength: 1,
    maxLength: 60,
  })
  .map((lengths) => lengths.map((length, n) => new Uint8Array(length).fill(n + 1)));

describe('a body', () => {
  test('is its chunks in their order, whatever their lengths', () => {
    fc.assert(
      fc.property(chunks, (parts) => {
        const body = new Body(holder(), Infinity, undefined);
        for (const part of parts) expect(body.take(part)).toBe(true);
        expect(Buffer.compare(body.bytes(), Buffer.concat(parts))).toBe(0);
      }),
    );
  });

  test('that is refused late is given away from its first byte on', () => {
    fc.assert(
      fc.property(chunks, (parts) => {
        const all = Buffer.concat(parts);
        const seen: Buffer[] = [];
        // Copied: a chunk that is given away may change afterwards.
        const body = new Body(holder(), all.length - 1, (bytes) => seen.push(Buffer.from(bytes)) > 0);
        for (const part of parts) body.take(part);
        expect(body.refusal?.code).toBe('BODY_TOO_LARGE');
        expect(Buffer.compare(Buffer.concat(seen), all)).toBe(0);
      }),
    );
  });
});
