/**
 * Your own persistence: the handshake of each session in a folder. Every process with the folders can continue the session.
 *
 *     <hash of the id>/session.json    the handshake, and the user who opened the session
 *     <hash of the id>/copies/         one empty file for each copy of the session that a process has in memory
 *
 * The handler decides who may continue a session: only the user who opened it.
 *
 * A process that crashes leaves its files in `copies`. Delete folders that are older than your longest session.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InitializeRequestParams } from '@modelcontextprotocol/server';
import type { SessionMigrationHandler } from 'sojourn';

interface Kept {
  readonly user: string | null;
  readonly params: InitializeRequestParams;
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

export function fileSessions(root: string): SessionMigrationHandler {
  // The id comes from the client. As a file name it could be '../../something'.
  const folderOf = (id: string) => join(root, createHash('sha256').update(id).digest('hex'));
  /** The copies in this process. A session may return here before its idle end is reported: then it has two. */
  const copies = new Map<string, string[]>();

  async function addCopy(id: string): Promise<void> {
    const copy = join(folderOf(id), 'copies', randomUUID());
    await writeFile(copy, '');
    copies.set(id, [...(copies.get(id) ?? []), copy]);
  }

  async function removeCopy(id: string): Promise<void> {
    const [copy, ...others] = copies.get(id) ?? [];
    if (others.length > 0) copies.set(id, others);
    else copies.delete(id);
    if (copy !== undefined) await rm(copy, { force: true });
  }

  /** `rmdir` fails while a process has a copy. After it, no process can add one. */
  async function hasNoCopies(id: string): Promise<boolean> {
    try {
      await rmdir(join(folderOf(id), 'copies'));
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST') return false;
      if (codeOf(error) === 'ENOENT') return true;
      throw error;
    }
  }

  return {
    async onSessionInitialized({ user = null }, id, params) {
      await mkdir(join(folderOf(id), 'copies'), { recursive: true });
      const kept: Kept = { user, params };
      await writeFile(join(folderOf(id), 'session.json'), JSON.stringify(kept), { mode: 0o600 });
      await addCopy(id);
    },

    async allowSessionMigration({ user = null }, id) {
      try {
        const kept = JSON.parse(await readFile(join(folderOf(id), 'session.json'), 'utf8')) as Kept;
        if (kept.user !== user) return null;
        await addCopy(id);
        return kept.params;
      } catch (error) {
        // Unknown id: 404, and the client opens a new session. Any other error is thrown: 503, and the client retries.
        if (codeOf(error) === 'ENOENT') return null;
        throw error;
      }
    },

    async onSessionEnded(id, reason) {
      await removeCopy(id);
      // This process stops and loses its memory. The session continues elsewhere.
      if (reason === 'endpoint_closed') return;
      // The client left this process. It may use the copy of another one.
      const idle = reason === 'idle' || reason === 'idle_limit';
      if (idle && !(await hasNoCopies(id))) return;
      await rm(folderOf(id), { recursive: true, force: true });
    },
  };
}
