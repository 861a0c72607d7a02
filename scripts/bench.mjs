/** `npm run bench [-- options]`: builds what is stale, then runs bench/main.ts in this process. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { register } from 'tsx/esm/api';
import { build } from './build.mjs';
import { ensureTools } from './ensure-tools.mjs';

const root = resolve(import.meta.dirname, '..');
if (!build({ ifStale: true })) process.exit(1);
// The run asks for Node.js versions other than the running version.
if (process.argv.some((text) => /^--node(=|$)/.test(text)) && existsSync(resolve(root, 'tools/runtimes')))
  await ensureTools('tools/runtimes');

if (process.argv.some((text) => text.includes('watched'))) await ensureTools('tools/otel-2');

const main = resolve(root, 'bench/main.ts');
process.argv[1] = main;
register();
await import(pathToFileURL(main).href);
