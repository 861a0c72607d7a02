/** The stores of this repository. Processes of tests make theirs from a path or URL. */
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';

export function storeAt(target: string): Store {
  if (target.startsWith('postgres')) return postgres(target);
  return target.startsWith('redis') ? redis(target) : sqlite(target);
}
