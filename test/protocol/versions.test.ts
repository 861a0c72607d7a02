import { SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { KNOWN_VERSIONS, LEGACY_VERSIONS, MODERN_VERSIONS } from '../../src/protocol/versions.ts';

describe('protocol versions', () => {
  test('the eras together are all that is known, newest first', () => {
    expect(MODERN_VERSIONS).toEqual(['2026-07-28']);
    expect([...LEGACY_VERSIONS].sort()).toEqual([...SUPPORTED_PROTOCOL_VERSIONS].sort());
    expect(KNOWN_VERSIONS).toEqual([...KNOWN_VERSIONS].sort().toReversed());
    expect(KNOWN_VERSIONS).toEqual([...MODERN_VERSIONS, ...LEGACY_VERSIONS]);
  });
});
