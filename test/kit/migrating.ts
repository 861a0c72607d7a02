/** Endpoints that share nothing but a `sessionMigrationHandler` over a table. */
import type { InitializeRequestParams } from '@modelcontextprotocol/server';
import type { McpEndpointOptions, SessionMigrationHandler } from '../../src/index.ts';
import type { RawClient } from './raw-client.ts';
import { createLab } from './lab.ts';
import { serve, type ServeSettings } from './serve.ts';

export const HANDSHAKE: InitializeRequestParams = {
  protocolVersion: '2025-11-25',
  capabilities: { elicitation: { form: {} }, roots: { listChanged: true } },
  clientInfo: { name: 'moved', version: '3.2.1' },
};

/** A typical handler: handshakes in a table that every process can reach. */
export function createHandler(table = new Map<string, InitializeRequestParams>()) {
  const asked: string[] = [];
  const initialized: Array<[id: string, params: InitializeRequestParams]> = [];
  const ended: Array<[id: string, reason: string]> = [];
  const handler: SessionMigrationHandler = {
    allowSessionMigration: async (_request, id) => {
      asked.push(id);
      return table.get(id) ?? null;
    },
    onSessionInitialized: (_request, id, params) => {
      initialized.push([id, params]);
      table.set(id, params);
    },
    onSessionEnded: (id, reason) => void ended.push([id, reason]),
  };
  return { handler, table, asked, initialized, ended };
}

export async function serveMigrating(
  migration = createHandler(),
  options: McpEndpointOptions = {},
  settings: ServeSettings = {},
) {
  const lab = createLab();
  const served = await serve(
    lab.factory,
    { sessionMigrationHandler: migration.handler, ...options },
    settings,
  );
  /** A client for the session `id` that was opened elsewhere. */
  const moved = (
    id = 'moved-1',
    version: string = HANDSHAKE.protocolVersion,
    headers = {},
  ): RawClient => {
    migration.table.set(id, { ...HANDSHAKE, protocolVersion: version });
    const client = served.client({ headers });
    client.sessionId = id;
    client.protocolVersion = version;
    return client;
  };
  return { lab, moved, ...migration, ...served };
}
