import { inspect } from 'node:util';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { createRequestView, type RequestSource } from '../../src/http/request-view.ts';

const authInfo: AuthInfo = { token: 't', clientId: 'c', scopes: [] };

function source() {
  const read: string[] = [];
  const listeners: Array<() => unknown> = [];
  const source: RequestSource = {
    method: 'POST',
    authInfo,
    user: '["sub","","alice"]',
    node: undefined,
    onClose: (fn) => listeners.push(fn),
    absoluteUrl: () => {
      read.push('url');
      return 'https://a.example/mcp?x=1';
    },
    headerFields: () => {
      read.push('headers');
      return { host: 'a.example', 'x-tenant': 'blue', ':path': '/mcp' };
    },
  };
  return { source, read, listeners };
}

describe('a view of a request', () => {
  test('is a Request, made of what its exchange says, when it is asked', () => {
    const { source: from, read, listeners } = source();
    const request = createRequestView(from);
    expect(request).toBeInstanceOf(Request);
    expect(read).toEqual([]);
    expect(request.method).toBe('POST');
    expect(request.authInfo).toBe(authInfo);
    expect(request.user).toBe('["sub","","alice"]');
    expect(request.node).toBeUndefined();
    expect([read, listeners]).toEqual([[], []]);
    expect(request.url).toBe('https://a.example/mcp?x=1');
    expect(request.signal).toBe(request.signal);
    expect([read, listeners.length]).toEqual([['url'], 1]);
  });

  test('has headers, made once, with the values that replace what the client wrote', () => {
    const { source: from, read } = source();
    const { headers } = createRequestView(from);
    const request = createRequestView(from);
    expect(request.headers).toBe(request.headers);
    expect(request.headers.get('X-Tenant')).toBe('blue');
    expect([...headers]).toEqual([
      ['host', 'a.example'],
      ['x-tenant', 'blue'],
    ]);
    expect(read).toEqual(['headers', 'headers']);
    request.headers.set('X-Tenant', 'red');
    expect(request.headers.get('x-tenant')).toBe('red');
  });

  test('has every member that a Request has, and none of them throws', () => {
    const request = createRequestView(source().source);
    const own = new Request('http://a.example');
    for (const name of Object.keys(Object.getOwnPropertyDescriptors(Request.prototype))) {
      const value = request[name as keyof Request];
      expect(typeof value, name).toBe(typeof own[name as keyof Request]);
    }
    expect(inspect(request)).toContain('https://a.example/mcp?x=1');
    expect(request).toMatchObject({ cache: 'default', redirect: 'follow', mode: 'cors', body: null });
  });

  test.each(['text', 'json', 'arrayBuffer', 'blob', 'formData'] as const)(
    'has no body left to read (%s)',
    async (how) => {
      await expect(createRequestView(source().source)[how]()).rejects.toThrow(
        new TypeError('The body of this request was read before its message was dispatched'),
      );
    },
  );

  test('is cloned to a real Request: method, URL, headers and signal', () => {
    const { source: from, listeners } = source();
    const clone = createRequestView(from).clone();
    expect(clone.method).toBe('POST');
    expect(clone.url).toBe('https://a.example/mcp?x=1');
    expect(clone.headers.get('x-tenant')).toBe('blue');
    expect(clone.signal.aborted).toBe(false);
    for (const left of listeners) left();
    expect(clone.signal.aborted).toBe(true);
  });
});
