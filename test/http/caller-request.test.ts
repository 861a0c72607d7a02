import { inspect } from 'node:util';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { CallerRequest } from '../../src/http/caller-request.ts';

const authInfo: AuthInfo = { token: 't', clientId: 'c', scopes: [] };

/** It notes what is read of it. */
class Caller extends CallerRequest {
  readonly read: string[] = [];
  readonly listeners: Array<() => unknown> = [];
  readonly node = undefined;
  readonly relayOrigin = undefined;
  readonly closed = false;

  constructor() {
    const headers = { host: 'a.example', 'x-tenant': 'blue', ':path': '/mcp' };
    super({ method: 'POST', url: '/mcp?x=1', headers }, authInfo, undefined, '["sub","","alice"]');
  }

  get absoluteUrl(): string {
    this.read.push('url');
    return 'https://a.example/mcp?x=1';
  }

  onClose(fn: () => unknown): void {
    this.listeners.push(fn);
  }
  heldBy(): void {}
  fail(): void {}
}

describe('a view of a request', () => {
  test('is a Request, made of what its exchange says, when it is asked', () => {
    const caller = new Caller();
    const { request, read, listeners } = caller;
    expect(caller.request).toBe(request);
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
    const { request } = new Caller();
    expect(request.headers).toBe(request.headers);
    expect(request.headers.get('X-Tenant')).toBe('blue');
    expect([...request.headers]).toEqual([
      ['host', 'a.example'],
      ['x-tenant', 'blue'],
    ]);
    request.headers.set('X-Tenant', 'red');
    expect(request.headers.get('x-tenant')).toBe('red');
  });

  test('has every member that a Request has, and none of them throws', () => {
    const { request } = new Caller();
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
      await expect(new Caller().request[how]()).rejects.toThrow(
        new TypeError('The body of this request was read before its message was dispatched'),
      );
    },
  );

  test('is cloned to a real Request: method, URL, headers and signal', () => {
    const { request, listeners } = new Caller();
    const clone = request.clone();
    expect(clone.method).toBe('POST');
    expect(clone.url).toBe('https://a.example/mcp?x=1');
    expect(clone.headers.get('x-tenant')).toBe('blue');
    expect(clone.signal.aborted).toBe(false);
    for (const left of listeners) left();
    expect(clone.signal.aborted).toBe(true);
  });
});
