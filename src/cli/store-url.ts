/** `--store URL`: the scheme chooses the store. */
import type { Store } from '../stores/store.ts';
import { UsageError } from './failure.ts';

const LATER = ['redis', 'rediss', 'postgres', 'postgresql', 'nats'];

export async function storeOf(url: string, origin: string): Promise<Store> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== undefined && LATER.includes(scheme)) {
    throw new UsageError(
      `${origin}: the store ${scheme}: is not available in this version of sojourn; memory: and sqlite: are`,
    );
  }
  if (scheme === 'sqlite') {
    const path = url.slice('sqlite:'.length);
    if (path === '') throw new UsageError(`${origin}: sqlite: needs a file, e.g. sqlite:./sessions.db`);
    const { sqlite } = await import('../stores/sqlite/index.ts');
    return sqlite(path);
  }
  if (scheme !== 'memory') {
    throw new UsageError(`${origin} takes a store's URL, e.g. sqlite:./sessions.db; got ${JSON.stringify(url)}`);
  }
  if (url.length > 'memory:'.length)
    throw new UsageError(`${origin}: nothing follows memory:; got ${JSON.stringify(url)}`);
  const { memory } = await import('../stores/memory/index.ts');
  return memory();
}
