/** `npm run bench [-- options]`: builds what is stale, then runs bench/main.ts in this process. */
import { resolve } from 'node:path';
import { register } from 'tsx/esm/api';
import { build } from './build.mjs';

if (!build({ ifStale: true })) process.exit(1);
register();
await import(resolve(import.meta.dirname, '../bench/main.ts'));
