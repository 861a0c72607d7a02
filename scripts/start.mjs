/**
 * `npm start [-- options]`: builds what is stale, then runs the CLI on the "everything" example in this very process, so
 * that the signals npm passes on reach the server itself.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';

const root = resolve(import.meta.dirname, '..');
if (!build({ ifStale: true })) process.exit(1);

const cli = resolve(root, 'dist/cli/main.js');
process.argv.splice(1, 1, cli, 'serve', resolve(root, 'examples/everything/server.ts'));
await import(pathToFileURL(cli).href);
