import { SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { isModern, KNOWN_VERSIONS } from '../../../src/base/protocol/versions.ts';

test('the known versions are 2026-07-28 and those that the SDK negotiates, newest first', () => {
  expect(KNOWN_VERSIONS.filter(isModern)).toEqual(['2026-07-28']);
  expect(KNOWN_VERSIONS).toEqual(
    ['2026-07-28', ...SUPPORTED_PROTOCOL_VERSIONS].sort().toReversed(),
  );
});
