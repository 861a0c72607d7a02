import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createHeaderView } from '../../src/http/header-view.ts';

function view(fields: Record<string, string>, overrides: Record<string, string> = {}) {
  let copies = 0;
  const source = {
    header: (name: string): string | undefined => fields[name],
    headerFields: () => {
      copies += 1;
      return fields;
    },
  };
  const headers = createHeaderView(source, new Map(Object.entries(overrides)));
  return { headers, copies: () => copies };
}

describe('a view of headers', () => {
  test('is a Headers, and looks up without making one', () => {
    const { headers, copies } = view({ 'mcp-method': 'ping', 'x-empty': '' });
    expect(headers).toBeInstanceOf(Headers);
    expect(headers.get('Mcp-Method')).toBe('ping');
    expect(headers.get('x-empty')).toBe('');
    expect(headers.get('absent')).toBeNull();
    expect(headers.has('MCP-METHOD')).toBe(true);
    expect(headers.has('absent')).toBe(false);
    expect(copies()).toBe(0);
  });

  test('shows an override instead of what the client wrote, alone and in the whole', () => {
    const { headers } = view({ 'mcp-param-count': '42.0', other: 'x' }, { 'mcp-param-count': '42' });
    expect(headers.get('Mcp-Param-Count')).toBe('42');
    expect(view({}, { 'mcp-param-count': '42' }).headers.has('Mcp-Param-Count')).toBe(true);
    expect([...headers]).toEqual([
      ['mcp-param-count', '42'],
      ['other', 'x'],
    ]);
  });

  test('copies once, for everything that is more than a look-up', () => {
    const { headers, copies } = view({ b: '2', a: '1' });
    expect([...headers.keys()]).toEqual(['a', 'b']);
    expect([...headers.values()]).toEqual(['1', '2']);
    expect([...headers.entries()]).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
    const seen: string[] = [];
    headers.forEach((value, key) => seen.push(`${key}=${value}`));
    expect(seen).toEqual(['a=1', 'b=2']);
    expect(headers.getSetCookie()).toEqual([]);
    expect(Object.fromEntries(headers)).toEqual({ a: '1', b: '2' });
    expect([...new Headers(headers)]).toHaveLength(2);
    expect(copies()).toBe(1);
  });

  test('is printed as a Headers is', () => {
    expect(inspect(view({ a: '1' }).headers)).toBe(inspect(new Headers({ a: '1' })));
  });

  test('can be changed, and from then on shows the change', () => {
    const { headers } = view({ a: '1', b: '2' });
    headers.set('A', 'one');
    headers.append('a', 'two');
    headers.delete('b');
    expect(headers.get('a')).toBe('one, two');
    expect(headers.has('b')).toBe(false);
    expect(headers.get('b')).toBeNull();
  });
});
