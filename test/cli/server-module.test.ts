import { describe, expect, onTestFinished, test } from 'vitest';
import { serverModuleOf } from '../../src/cli/server-module.ts';
import { createMcpEndpoint } from '../../src/index.ts';
import { createLab } from '../kit/lab.ts';

const factory = () => ({ connect: async () => {}, close: async () => {} });

describe('the default export of a server module', () => {
  const server = factory();
  const options = { stateless: true };
  test.each<[what: string, namespace: object, made: object]>([
    ['a factory', { default: factory }, { server: factory, options: {} }],
    ['a factory with options', { default: { factory, options } }, { server: factory, options }],
    ['a factory in an object', { default: { factory } }, { server: factory, options: {} }],
    ['one server for all sessions', { default: server }, { server, options: {} }],
    ['one server with options', { default: { server, options } }, { server, options }],
    [
      'that of CommonJS that was compiled from an ES module',
      { default: { __esModule: true, default: factory } },
      { server: factory, options: {} },
    ],
  ])('is %s', (_what, namespace, made) => {
    expect(serverModuleOf('x.js', namespace)).toEqual(made);
  });

  test('is an endpoint, which is said, with what to export', async () => {
    const endpoint = createMcpEndpoint(createLab().factory);
    onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
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
    [
      { createServer: factory, other: 1 },
      'the default export is missing (it exports createServer, other);',
    ],
    [
      { default: { __esModule: true, createServer: factory } },
      'is missing (it exports createServer);',
    ],
    [{ default: null }, 'is null;'],
    [{ default: 5 }, 'is a number;'],
    [{ default: Promise.resolve(factory()) }, 'is a promise (write export default await …);'],
    [{ default: class {} }, 'is a class;'],
    [{ default: [factory] }, 'is an array;'],
    [{ default: { server: factory(), factory } }, 'is an object with both server and factory;'],
    [{ default: { server: class {} } }, 'is an object with a class;'],
    [{ default: { options: {} } }, 'is an object without a server or factory;'],
    [{ default: { factory, port: 80 } }, 'is an object with the unknown member port;'],
    [{ default: { factory, options: 5 } }, 'is an object whose member options is not an object;'],
  ])('%j is refused', (namespace, message) => {
    expect(() => serverModuleOf('x.js', namespace)).toThrow('x.js: the default export ');
    expect(() => serverModuleOf('x.js', namespace)).toThrow(message);
  });
});
