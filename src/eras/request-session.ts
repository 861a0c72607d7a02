import type { ClientCapabilities, Implementation } from '@modelcontextprotocol/server';
import type { AnyServer } from '../protocol/server-shape.ts';
import { userName } from '../shown.ts';
import type { McpRequestRun } from '../types.ts';

export interface RequestSessionFields {
  readonly caller: { readonly user: string | undefined; readonly signal: AbortSignal };
  readonly createdAt: number;
  readonly clientInfo: Implementation | undefined;
  readonly clientCapabilities: ClientCapabilities | undefined;
  readonly protocolVersion: string;
  readonly server: AnyServer;
}

const UNKNOWN_CLIENT: Implementation = { name: '', version: '' };

/** What `runSessionHandler` gets for one request of stateless and 2026-07-28 serving. */
export function requestSession(fields: RequestSessionFields): McpRequestRun {
  const { caller, ...rest } = fields;
  return {
    kind: 'request',
    ...rest,
    user: caller.user,
    userName: caller.user && userName(caller.user),
    get signal() {
      return caller.signal;
    },
    clientInfo: fields.clientInfo ?? UNKNOWN_CLIENT,
    clientCapabilities: fields.clientCapabilities ?? {},
  };
}
