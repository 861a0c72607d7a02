import { describe, expect, onTestFinished, test } from 'vitest';
import { serverModuleOf } from '../../src/cli/server-module.ts';
import { createMcpEndpoint } from '../../src/index.ts';
import { createLab } from '../kit/lab.ts';

const factory = () => ({ connect: async () => {}, close: async () => {} });

describe('the default export of a server module', () => {
  test('is a factory', () => {
    expect(serverModuleOf('x.js', { default: factory })).toEqual({ server: factory, options: {} });
  });

  test('or a factory with options', () => {
    const options = { stateless: true };
    expect(serverModuleOf('x.js', { default: { factory, options } })).toEqual({ server: factory, options });
    expect(serverModuleOf('x.js', { default: { factory } })).toEqual({ server: factory, options: {} });
  });

  test('or one server for all sessions, with options or without', () => {
    const server = factory();
    const options = { stateless: true };
    expect(serverModuleOf('x.js', { default: server })).toEqual({ server, options: {} });
    expect(serverModuleOf('x.js', { default: { server, options } })).toEqual({ server, options });
  });

  test('also of CommonJS that was compiled from an ES module', () => {
    expect(serverModuleOf('x.js', { default: { __esModule: true, default: factory } })).toEqual({
      server: factory,
      options: {},
    });
  });

  test('is an endpoint, which is said, with what to export', async () => {
    const endpoint = createMcpEndpoint(createLab().factory);
    onTestFinished(() => endpoint.close());
    expect(() => serverModuleOf('x.js', { default: endpoint })).toThrow(
      'x.js: the default export is an endpoint, which serve makes by itself from your server and options; it must be ' +
        'an MCP server, a function that creates one, { server, options } or { factory, options }',
    );
  });

  test.each([
    [
      {},
      'the default export is missing; it must be an MCP server, a function that creates one, { server, options } or { factory, options }',
    ],
    [{ createServer: factory, other: 1 }, 'the default export is missing (it exports createServer, other);'],
    [{ default: { __esModule: true, createServer: factory } }, 'is missing (it exports createServer);'],
    [{ default: null }, 'is null;'],
    [{ default: 5 }, 'is a number;'],
    [{ default: [factory] }, 'is an array;'],
    [{ default: { server: factory(), factory } }, 'is an object with both server and factory;'],
    [{ default: { options: {} } }, 'is an object without a server or factory;'],
    [{ default: { factory, port: 80 } }, 'is an object with the unknown member port;'],
    [{ default: { factory, options: 5 } }, 'is an object whose member options is not an object;'],
  ])('%j is refused', (namespace, message) => {
    expect(() => serverModuleOf('x.js', namespace)).toThrow(
      expect.objectContaining({
        code: 'MODULE_INVALID',
        message: expect.stringContaining(`x.js: the default export `) as string,
      }) as Error,
    );
    expect(() => serverModuleOf('x.js', namespace)).toThrow(message);
  });
});
