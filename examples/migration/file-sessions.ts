/**
 * Your own persistence: the handshake of each session in a file. Every process with the files can continue the session.
 *
 * The handler also decides who may: only the user who opened a session gets it.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InitializeRequestParams } from '@modelcontextprotocol/server';
import type { SessionMigrationHandler } from 'sojourn';

interface Kept {
  readonly user: string | null;
  readonly params: InitializeRequestParams;
}

export function fileSessions(folder: string): SessionMigrationHandler {
  // The id comes from the client. As a file name it could be '../../something'.
  const fileOf = (id: string) => join(folder, `${createHash('sha256').update(id).digest('hex')}.json`);

  return {
    async onSessionInitialized({ user = null }, id, params) {
      await mkdir(folder, { recursive: true });
      await writeFile(fileOf(id), JSON.stringify({ user, params } satisfies Kept), { mode: 0o600 });
    },

    async allowSessionMigration({ user = null }, id) {
      let kept: Kept;
      try {
        kept = JSON.parse(await readFile(fileOf(id), 'utf8')) as Kept;
      } catch (error) {
        // Unknown id: 404, and the client opens a new session. Any other error is thrown: 503, and the client retries.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
      return kept.user === user ? kept.params : null;
    },

    async onSessionEnded(id, reason) {
      // This process stops and loses its memory. The session continues elsewhere.
      if (reason === 'store_lost') return;
      await rm(fileOf(id), { force: true });
    },
  };
}
