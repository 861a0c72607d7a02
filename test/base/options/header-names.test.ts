import { describe, expect, test } from 'vitest';
import {
  CREDENTIAL_HEADERS,
  relayedFields,
  RELAYED_HEADERS,
} from '../../../src/base/options/header-names.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';

describe('relayedHeaders', () => {
  const option = 'relayedHeaders';

  test('takes names in any case', () => {
    expect(resolveOptions({ [option]: ['X-Tenant', 'x-lab.1'] })[option]).toEqual([
      'x-tenant',
      'x-lab.1',
    ]);
  });

  test('is empty unless it is given', () => {
    expect([resolveOptions({})[option], resolveOptions({ [option]: [] })[option]]).toEqual([
      [],
      [],
    ]);
  });

  test.each(['', 'x tenant', 'x-tenant:', 'x-tenant\r\nhost', 'ü'])('refuses %j', (name) => {
    expect(() => resolveOptions({ [option]: ['host', name] })).toThrow(`Option ${option}[1]: got `);
  });

  test.each(['x-tenant', 5, null, [5]])('refuses the wrong type %j', (given) => {
    expect(() => resolveOptions({ [option]: given as unknown as string[] })).toThrow(TypeError);
  });
});

describe('a header that travels to another instance', () => {
  test.each(CREDENTIAL_HEADERS.map((name) => name.toUpperCase()))('is never %s', (name) => {
    expect(() => resolveOptions({ relayedHeaders: [name] })).toThrow(
      /relayedHeaders names .* is a credential/,
    );
  });

  test('is a common field, a field of MCP, or a field that relayedHeaders names', () => {
    const isRelayed = relayedFields(['x-tenant']);
    const kept = [...RELAYED_HEADERS, 'mcp-session-id', 'mcp-param-region', 'x-tenant'];
    expect(kept.filter((name) => !isRelayed(name))).toEqual([]);
    const dropped = [
      ...CREDENTIAL_HEADERS,
      ':path',
      'x-auth-request-access-token',
      'set-cookie',
      'x-mcp-a',
      'x-tenant2',
    ];
    expect(dropped.filter(isRelayed)).toEqual([]);
  });
});
