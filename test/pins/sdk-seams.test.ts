/**
 * The private members of the SDK that a definition relies on (ADR 0019), in each installed version and build. A new
 * version that fails here needs a look at `src/definition/` before it is supported.
 */
import { createRequire } from 'node:module';
import * as v2 from '@modelcontextprotocol/server';
import * as v1Server from '@modelcontextprotocol/sdk/server/index.js';
import * as v1Mcp from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';

const require = createRequire(import.meta.url);
const v2CommonJs = require('@modelcontextprotocol/server') as typeof v2;
const v1ServerCommonJs = require('@modelcontextprotocol/sdk/server/index.js') as typeof v1Server;
const v1McpCommonJs = require('@modelcontextprotocol/sdk/server/mcp.js') as typeof v1Mcp;

const info = { name: 'pins', version: '1.0.0' };
const options = { capabilities: { logging: {}, tools: {} } };

const builds: Array<[string, { new (...args: never[]): object }, { new (...args: never[]): object }]> = [
  ['version 2', v2.Server, v2.McpServer],
  ['version 2, CommonJS', v2CommonJs.Server, v2CommonJs.McpServer],
  ['version 1', v1Server.Server, v1Mcp.McpServer],
  ['version 1, CommonJS', v1ServerCommonJs.Server, v1McpCommonJs.McpServer],
];

const make = (Class: { new (...args: never[]): object }): object =>
  new (Class as new (...args: unknown[]) => object)(info, options);

describe.each(builds)('%s', (name, Server, McpServer) => {
  const own = new Set(Object.keys(make(Server)));
  const second = name.startsWith('version 2');

  test('keeps its handlers in two maps, and what it was made of in two properties', () => {
    const names = ['_requestHandlers', '_notificationHandlers', '_serverInfo', '_options'];
    expect(names.filter((member) => !own.has(member))).toEqual([]);
  });

  test('keeps what belongs to a connection in these properties, and in no other', () => {
    const connection = second
      ? [
          '_boundFromTransport',
          '_clientCapabilities',
          '_clientVersion',
          '_inputRequiredServing',
          '_legacyShim',
          '_loggingLevels',
          '_negotiatedProtocolVersion',
          '_requestStateVerify',
          '_transport',
        ]
      : ['_loggingLevels', '_requestResolvers', '_taskProgressTokens'];
    const protocol = [
      '_pendingDebouncedNotifications',
      '_progressHandlers',
      '_requestHandlerAbortControllers',
      '_requestMessageId',
      '_responseHandlers',
      '_timeoutInfo',
    ];
    const definition = [
      'LOG_LEVEL_SEVERITY',
      '_cacheHints',
      '_capabilities',
      '_customSchemaRequestMethods',
      '_instructions',
      '_jsonSchemaValidator',
      '_notificationHandlers',
      '_options',
      '_requestHandlers',
      '_serverInfo',
      '_supportedProtocolVersions',
      '_taskMessageQueue',
      '_taskStore',
      'fallbackNotificationHandler',
      'fallbackRequestHandler',
      'isMessageIgnored',
      'onclose',
      'onerror',
      'oninitialized',
    ];
    expect(connection.filter((member) => !own.has(member))).toEqual([]);
    const known = new Set([...connection, ...protocol, ...definition]);
    expect([...own].filter((member) => !known.has(member))).toEqual([]);
  });

  test('changes the state of a connection in these methods', () => {
    const methods = ['_oninitialize', '_oncancel', '_onprogress', ...(second ? ['_ondiscover'] : [])];
    expect(methods.filter((method) => typeof Reflect.get(Server.prototype, method) !== 'function')).toEqual([]);
  });

  test('has no private fields of the language, which no definition could forward', () => {
    expect(String(Server)).not.toMatch(/this\.#/);
    expect(String(Object.getPrototypeOf(Server))).not.toMatch(/this\.#/);
    expect(String(McpServer)).not.toMatch(/this\.#/);
  });

  test('tells of changed lists through three public methods, and reaches its connection through server alone', () => {
    const server = make(McpServer);
    const names = ['sendToolListChanged', 'sendPromptListChanged', 'sendResourceListChanged', 'connect', 'close'];
    expect(names.filter((member) => typeof Reflect.get(server, member) !== 'function')).toEqual([]);
    expect(Object.getOwnPropertyNames(server)).toContain('server');
    expect(String(McpServer)).not.toMatch(/_transport\b/);
  });

  test('is Server, Protocol and nothing more', () => {
    const protocol = Object.getPrototypeOf(Server.prototype) as object;
    expect(Object.getPrototypeOf(protocol)).toBe(Object.prototype);
  });
});
