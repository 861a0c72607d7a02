import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { digestText } from '../../src/base/digest.ts';

test.each(['', 'a', 'ü€😀', 'a\uD800b', '\uDC00', 'x'.repeat(100_000)])(
  'the text of a digest is what every build has stored (%#)',
  (text) => {
    const stored = createHash('sha256').update(text).digest().toString('base64url');
    expect(digestText(text)).toBe(stored);
    expect(stored).toHaveLength(43);
  },
);
