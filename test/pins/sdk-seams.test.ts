/**
 * The private members of the SDK that a definition relies on (docs/adr/one-definition.md), in each installed version and build. A new
 * version that fails here needs a look at `src/definition/` before it is supported.
 */
import { createRequire } from 'node:module';
import * as v2 from '@modelcontextprotocol/server';
import * as v1Server from '@modelcontextprotocol/sdk/server/index.js';
import * as v1Mcp from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { constructionOf, lackingTable, type SdkServer } from '../../src/sdk/sdk-server.ts';

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

describe.each(builds)('%s', (_name, Server, McpServer) => {
  test('keeps its handlers in two maps, and what it was made of as it is', () => {
    const server = make(Server);
    expect(lackingTable(server as SdkServer)).toBeUndefined();
    expect(constructionOf(server as SdkServer)).toMatchObject({ info, options });
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
});
