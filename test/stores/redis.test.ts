import { redis } from '../../packages/redis/src/index.ts';
import { moveClock, openBackends } from './redis-views.ts';
import { serverStoreTests } from './server-stores.ts';

serverStoreTests({
  kind: 'redis',
  store: redis,
  backend: (url) => openBackends({ kind: 'single', options: { url } }),
  moveClock,
});
