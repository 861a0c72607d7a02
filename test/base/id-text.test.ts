/** A command takes what begins with `-` for a flag. */
import { expect, test } from 'vitest';
import { base64url, idText } from '../../src/base/system.ts';

test('an id does not begin with -, and is the text of its bytes otherwise', () => {
  const all = Array.from({ length: 256 }, (_, byte) => new Uint8Array([byte, 251, 239]));
  expect(all.map(base64url).filter((id) => id.startsWith('-'))).toHaveLength(4);
  expect(all.map(idText).filter((id) => id.startsWith('-'))).toEqual([]);
  expect(all.map((bytes) => idText(bytes).slice(1))).toEqual(
    all.map((bytes) => base64url(bytes).slice(1)),
  );
});
