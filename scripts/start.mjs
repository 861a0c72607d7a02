/**
 * `npm start [-- options]`: builds if dist/ is stale, then runs the CLI on the "everything" example in this process, so
 * that signals from npm reach the server itself. Sessions are kept in `.sojourn/` unless `--store` is given.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';

const root = resolve(import.meta.dirname, '..');
if (!build({ ifStale: true })) process.exit(1);

const cli = resolve(root, 'dist/cli/main.js');
process.argv.splice(
  1,
  1,
  cli,
  'serve',
  resolve(root, 'examples/everything/server.ts'),
  ...storeFlags(),
  ...dashboardFlags(),
);
await import(pathToFileURL(cli).href);

function dashboardFlags() {
  const isGiven = process.argv.some((arg) => /^--(no-)?dashboard$/.test(arg)) || Boolean(process.env.SOJOURN_DASHBOARD);
  return isGiven ? [] : ['--dashboard'];
}

function storeFlags() {
  const isGiven = process.argv.some((arg) => /^--store(=|$)/.test(arg)) || Boolean(process.env.SOJOURN_STORE);
  if (isGiven) return [];
  const folder = join(root, '.sojourn');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return ['--store', `sqlite:${join(folder, 'everything.db')}`];
}
