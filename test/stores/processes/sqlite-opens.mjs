// Opens a file and says how that ended: `node sqlite-opens.mjs FILE [DIST]`.
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemRandom, systemTime } from '../../../dist/internals.js';
import { openView } from './view.mjs';

const [path, dist = resolve(import.meta.dirname, '../../../dist')] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(dist, file)).href);
const { sqlite } = await load('stores/sqlite/index.js');
const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

try {
  const view = await openView(sqlite(path), {
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: silent,
    leaseMs: 3_000,
    keepMs: 60_000,
    log: false,
    eventLogBytes: 0,
    tombstones: 0,
  });
  await view.close();
  console.log('opened');
} catch (error) {
  console.log(error.code, error.message);
}
