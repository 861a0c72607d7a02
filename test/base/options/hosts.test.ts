import { describe, expect, test } from 'vitest';
import { resolveOptions } from '../../../src/base/options/resolve.ts';

const host = (name: string) => resolveOptions({ allowedHosts: [name] }).allowedHosts?.[0];
const origin = (name: string) => resolveOptions({ allowedOrigins: [name] }).allowedOrigins[0];

describe('allowedHosts', () => {
  test.each([
    ['mcp.example', 'mcp.example'],
    ['MCP.Example', 'mcp.example'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['::1', '[::1]'],
    ['2001:DB8:0::1', '[2001:db8::1]'],
  ])('%s is %s', (given, name) => {
    expect(host(given)).toBe(name);
  });

  test.each([
    '',
    '*',
    '*.example',
    'mcp.example:80',
    '[::1]:3000',
    'http://mcp.example',
    'a b',
    'a/b',
    'u@a',
    'a?b',
    '[::1',
  ])('refuses %j', (given) => {
    expect(() => host(given)).toThrow(
      /^Option allowedHosts\[0\]: got .* takes a host name without scheme, port/,
    );
  });
});

describe('allowedOrigins', () => {
  test.each([
    ['*', '*'],
    ['https://app.example', 'https://app.example'],
    ['HTTPS://App.Example:443/', 'https://app.example'],
    ['http://localhost:5173', 'http://localhost:5173'],
    ['vscode-webview://abc', 'vscode-webview://abc'],
    ['app.example', 'app.example'],
    ['::1', '[::1]'],
  ])('%s is %s', (given, name) => {
    expect(origin(given)).toBe(name);
  });

  test.each([
    '',
    'https://app.example/path',
    'https://*.example',
    'https://u:p@app.example',
    'app.example:443',
    'https://',
    'x://?q',
  ])('refuses %j', (given) => {
    expect(() => origin(given)).toThrow(/^Option allowedOrigins\[0\]: got .* takes an origin/);
  });

  test('may be empty: then no browser may call', () => {
    expect(resolveOptions({ allowedOrigins: [] }).allowedOrigins).toEqual([]);
  });
});
