/**
 * A server whose tools, resources and prompts require the scope `admin` in every way that the SDK has, and its callers.
 */
import {
  McpServer,
  requireScopes,
  ResourceTemplate,
  type AuthInfo,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import type { ServeSettings } from './serve.ts';
import { said } from './tool-server.ts';
import { turns } from './until.ts';

/**
 * `x-scopes` names the caller's scopes, `x-client` the client application; without `x-scopes` the caller is anonymous.
 */
export const scopesHeader: NonNullable<ServeSettings['auth']> = ({
  'x-scopes': scopes,
  'x-client': client,
}) =>
  scopes === undefined
    ? undefined
    : caller(String(scopes), client === undefined ? 'c' : String(client));

export const caller = (scopes: string, clientId = 'c'): AuthInfo => ({
  token: 't',
  clientId,
  scopes: scopes.split(' ').filter(Boolean),
  resource: new URL('https://api.example/mcp'),
  extra: { sub: 'alice' },
});

export const withScopes = (scopes: string, client = 'c') => ({
  headers: { 'x-scopes': scopes, 'x-client': client },
});

/** Requests that only `admin` may send. */
export const GUARDED: ReadonlyArray<readonly [method: string, params: Record<string, unknown>]> = [
  ['tools/call', { name: 'admin', arguments: {} }],
  ['tools/call', { name: 'later', arguments: {} }],
  ['tools/call', { name: 'worded', arguments: {} }],
  ['resources/read', { uri: 'secret://one' }],
  ['resources/read', { uri: 'vault://7' }],
  ['prompts/get', { name: 'plan' }],
];

/** Requests whose own check fails: the call must not run for any caller. */
export const BROKEN: ReadonlyArray<readonly [method: string, params: Record<string, unknown>]> = [
  ['tools/call', { name: 'throws', arguments: {} }],
  ['tools/call', { name: 'rejects', arguments: {} }],
  ['tools/call', { name: 'splits', arguments: {} }],
  ['tools/call', { name: 'empty', arguments: {} }],
];

/** `ran`: the calls that ran, in order. */
export function scopedServer(ran: string[] = []) {
  const tool = (
    server: McpServer,
    name: string,
    config: Partial<Parameters<McpServer['registerTool']>[1]>,
  ) =>
    server.registerTool(name, { inputSchema: z.looseObject({}), ...config } as never, async () => {
      ran.push(name);
      return said(`${name} ran`);
    });
  const admin = requireScopes('admin');
  const factory = (ctx: Pick<McpEndpointContext, 'serverOptions'>): McpServer => {
    const server = new McpServer({ name: 'scoped', version: '1' }, { ...ctx.serverOptions });
    tool(server, 'open', {});
    tool(server, 'admin', { scopeChallenge: admin });
    tool(server, 'later', {
      scopeChallenge: async (context) => {
        await turns();
        return admin(context);
      },
    });
    tool(server, 'worded', {
      scopeChallenge: (context) =>
        admin(context) === undefined
          ? undefined
          : { scopes: ['admin', 'audit'], errorDescription: 'Ask an admin' },
    });
    tool(server, 'throws', {
      scopeChallenge: () => {
        throw new Error('the policy engine is away');
      },
    });
    tool(server, 'rejects', {
      scopeChallenge: () => Promise.reject(new Error('the policy engine is away')),
    });
    tool(server, 'splits', { scopeChallenge: () => ({ scopes: ['a"\r\nset-cookie: x'] }) });
    tool(server, 'empty', { scopeChallenge: () => ({ scopes: [] }) as never });
    const read = (uri: URL) => {
      ran.push(uri.href);
      return { contents: [{ uri: uri.href, text: 'secret' }] };
    };
    server.registerResource('one', 'secret://one', { scopeChallenge: admin }, read);
    const vault = new ResourceTemplate('vault://{id}', { list: undefined });
    server.registerResource('vault', vault, { scopeChallenge: admin }, read);
    server.registerPrompt('plan', { scopeChallenge: admin }, () => {
      ran.push('plan');
      return { messages: [{ role: 'user', content: { type: 'text', text: 'plan' } }] };
    });
    return server;
  };
  return { ran, factory };
}
