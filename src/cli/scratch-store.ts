/**
 * A part of a store that no deployment uses and that can be removed: a prefix, a schema, a file. Its name is
 * random, so two commands at once do not meet.
 */
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { systemRandom } from '../base/system.ts';
import type { ScratchStore } from '../stores/shared/scratch.ts';
import type { Store } from '../stores/store.ts';

export interface Scratch {
  /** Its name at the server. */
  readonly name: string;
  /** How to remove it by hand, after this process was killed. */
  readonly byHand: string;
  /** One more store object, as another process would have it. */
  connect(): Store;
  /** Resolves also where nothing of it exists. Rejects where this user may not remove it. */
  remove(): Promise<void>;
}

const ID_BYTES = 9;

/** `url`: of a store that can be used. */
export async function scratchOf(kind: string, url: string): Promise<Scratch> {
  const id = `doctor_${Buffer.from(systemRandom(ID_BYTES)).toString('hex')}`;
  switch (kind) {
    case 'redis': {
      const { redis } = await import('../stores/redis/index.ts');
      const prefix = `sojourn:${id}`;
      return served(
        prefix,
        () => redis(url, { prefix }),
        `redis-cli --scan --pattern '${prefix}:*' | xargs redis-cli unlink`,
      );
    }
    case 'postgres': {
      const { postgres } = await import('../stores/postgres/index.ts');
      const schema = `sojourn_${id}`;
      return served(schema, () => postgres(url, { schema }), `DROP SCHEMA ${schema} CASCADE`);
    }
    default: {
      const { sqlite } = await import('../stores/sqlite/index.ts');
      const file = `${resolve(url.replace(/^sqlite:/i, ''))}-${id}`;
      return {
        name: file,
        byHand: `rm ${basename(file)}*`,
        connect: () => sqlite(file),
        remove: async () => removeFiles(file),
      };
    }
  }
}

function served(name: string, connect: () => Store, byHand: string): Scratch {
  return { name, byHand, connect, remove: () => (connect() as ScratchStore).removeScratch() };
}

/** The file, and those that SQLite keeps beside it. */
function removeFiles(file: string): void {
  const folder = dirname(file);
  for (const name of readdirSync(folder))
    if (name.startsWith(basename(file))) rmSync(join(folder, name), { force: true });
}
