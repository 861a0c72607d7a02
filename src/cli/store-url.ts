/** `--store URL`: the scheme chooses the store. */
import type { Store } from '../stores/store.ts';
import { UsageError } from './failure.ts';

const LATER = ['sqlite', 'redis', 'rediss', 'postgres', 'postgresql', 'nats'];

export async function storeOf(url: string, origin: string): Promise<Store> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== undefined && LATER.includes(scheme)) {
    throw new UsageError(`${origin}: the store ${scheme}: is not available in this version of sojourn; memory: is`);
  }
  if (scheme !== 'memory') {
    throw new UsageError(`${origin} takes a store's URL, e.g. memory:; got ${JSON.stringify(url)}`);
  }
  if (url.length > 'memory:'.length)
    throw new UsageError(`${origin}: nothing follows memory:; got ${JSON.stringify(url)}`);
  const { memory } = await import('../stores/memory/index.ts');
  return memory();
}
