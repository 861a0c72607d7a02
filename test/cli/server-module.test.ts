import { describe, expect, test } from 'vitest';
import { serverModuleOf } from '../../src/cli/server-module.ts';

const factory = () => ({ connect: async () => {}, close: async () => {} });

describe('the default export of a server module', () => {
  test('is a factory', () => {
    expect(serverModuleOf('x.js', { default: factory })).toEqual({ factory, options: {} });
  });

  test('or a factory with options', () => {
    const options = { stateless: true };
    expect(serverModuleOf('x.js', { default: { factory, options } })).toEqual({ factory, options });
    expect(serverModuleOf('x.js', { default: { factory } })).toEqual({ factory, options: {} });
  });

  test('also of CommonJS that was compiled from an ES module', () => {
    expect(serverModuleOf('x.js', { default: { __esModule: true, default: factory } })).toEqual({
      factory,
      options: {},
    });
  });

  test.each([
    [{}, 'the default export is missing; it must be a function that creates a server, or { factory, options }'],
    [{ createServer: factory, other: 1 }, 'the default export is missing (it exports createServer, other);'],
    [{ default: { __esModule: true, createServer: factory } }, 'is missing (it exports createServer);'],
    [{ default: null }, 'is null;'],
    [{ default: 5 }, 'is a number;'],
    [{ default: [factory] }, 'is an array;'],
    [{ default: factory() }, 'the default export is a server object, but every session needs its own;'],
    [{ default: { options: {} } }, 'is an object without a factory function;'],
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
