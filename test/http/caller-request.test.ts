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
    const { method, userKey: user, node } = request;
    expect([method, request.authInfo, user, node]).toEqual([
      'POST',
      authInfo,
      '["sub","","alice"]',
      undefined,
    ]);
    expect([read, listeners]).toEqual([[], []]);
    expect(request.url).toBe('https://a.example/mcp?x=1');
    expect(request.signal).toBe(request.signal);
    expect([read, listeners.length]).toEqual([['url'], 1]);
  });

  test('has headers, made once, with the values that replace what the client wrote', () => {
    const { headers } = new Caller().request;
    expect([...headers]).toEqual([
      ['host', 'a.example'],
      ['x-tenant', 'blue'],
    ]);
    const { request } = new Caller();
    request.headers.set('X-Tenant', 'red');
    expect(request.headers.get('x-tenant')).toBe('red');
  });

  test('has every member that a Request has, none of them throws, and no body is left to read', async () => {
    const { request } = new Caller();
    const own = new Request('http://a.example');
    for (const name of Object.keys(Object.getOwnPropertyDescriptors(Request.prototype))) {
      const value = request[name as keyof Request];
      expect(typeof value, name).toBe(typeof own[name as keyof Request]);
    }
    expect(inspect(request)).toContain('https://a.example/mcp?x=1');
    expect(request).toMatchObject({
      cache: 'default',
      redirect: 'follow',
      mode: 'cors',
      body: null,
    });
    for (const how of ['text', 'json', 'arrayBuffer', 'blob', 'formData'] as const)
      await expect(request[how](), how).rejects.toThrow(
        new TypeError('The body of this request was read before its message was dispatched'),
      );
  });

  test('is cloned to a real Request: method, URL, headers and signal', () => {
    const { request, listeners } = new Caller();
    const { method, url, headers, signal } = request.clone();
    expect([method, url, headers.get('x-tenant')]).toEqual([
      'POST',
      'https://a.example/mcp?x=1',
      'blue',
    ]);
    expect(signal.aborted).toBe(false);
    for (const left of listeners) left();
    expect(signal.aborted).toBe(true);
  });
});
