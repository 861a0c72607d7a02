import type { ClientCapabilities, Implementation } from '@modelcontextprotocol/server';
import type { AnyServer } from '../session/session.ts';
import type { McpSession } from '../types.ts';

export interface RequestSessionFields {
  readonly caller: { readonly user: string | undefined; readonly signal: AbortSignal };
  readonly createdAt: number;
  readonly clientInfo: Implementation | undefined;
  readonly clientCapabilities: ClientCapabilities | undefined;
  readonly protocolVersion: string;
  readonly server: AnyServer;
}

const NOBODY: Implementation = { name: '', version: '' };

/** The session that `runSessionHandler` gets when it serves one request: `id` and `state` are undefined. */
export function requestSession(fields: RequestSessionFields): McpSession {
  const { caller, ...rest } = fields;
  return {
    ...rest,
    user: caller.user,
    get signal() {
      return caller.signal;
    },
    id: undefined,
    state: undefined,
    clientInfo: fields.clientInfo ?? NOBODY,
    clientCapabilities: fields.clientCapabilities ?? {},
  } as unknown as McpSession;
}
