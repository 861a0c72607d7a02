import { SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import {
  KNOWN_VERSIONS,
  LEGACY_VERSIONS,
  MODERN_VERSIONS,
  allowsBatches,
  hasEventIds,
  hasPriming,
  isModern,
  newestFirst,
  servedVersions,
} from '../../src/protocol/versions.ts';

describe('protocol versions', () => {
  test('the eras together are all that is known, newest first', () => {
    expect(MODERN_VERSIONS).toEqual(['2026-07-28']);
    expect([...LEGACY_VERSIONS].sort()).toEqual([...SUPPORTED_PROTOCOL_VERSIONS].sort());
    expect(KNOWN_VERSIONS).toEqual([...KNOWN_VERSIONS].sort().toReversed());
    expect(KNOWN_VERSIONS).toEqual([...MODERN_VERSIONS, ...LEGACY_VERSIONS]);
  });

  test('modern begins with 2026-07-28', () => {
    expect(MODERN_VERSIONS.every(isModern)).toBe(true);
    expect(LEGACY_VERSIONS.some(isModern)).toBe(false);
    expect(isModern('2027-01-01')).toBe(true);
  });

  test('newest first drops repeats and leaves its input alone', () => {
    const given = ['2025-06-18', '2026-07-28', '2025-06-18', '2025-11-25'];
    expect(newestFirst(given)).toEqual(['2026-07-28', '2025-11-25', '2025-06-18']);
    expect(given).toHaveLength(4);
  });

  test('stateful serves the legacy versions only, the other modes all', () => {
    const supported = ['2025-06-18', '2026-07-28', '2025-11-25'];
    expect(servedVersions('stateful', supported)).toEqual(['2025-11-25', '2025-06-18']);
    expect(servedVersions('hybrid', supported)).toEqual(['2026-07-28', '2025-11-25', '2025-06-18']);
    expect(servedVersions('stateless', supported)).toEqual(['2026-07-28', '2025-11-25', '2025-06-18']);
  });

  test('priming is for 2025-11-25, batches for 2025-03-26', () => {
    expect(KNOWN_VERSIONS.filter(hasPriming)).toEqual(['2025-11-25']);
    expect(KNOWN_VERSIONS.filter(hasEventIds)).toEqual(['2025-11-25', '2025-06-18', '2025-03-26']);
    expect(KNOWN_VERSIONS.filter(allowsBatches)).toEqual(['2025-03-26']);
  });
});
