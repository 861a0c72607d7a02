// Opens a file and says how that ended: `node sqlite-opens.mjs FILE [DIST]`.
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [path, dist = resolve(import.meta.dirname, '../../../dist')] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(dist, file)).href);
const { sqlite } = await load('stores/sqlite/index.js');
const { systemRandom, systemTime } = await load('options/system.js');
const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

try {
  const view = await sqlite(path).open({
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: silent,
    leaseMs: 3_000,
    tombstoneMs: 60_000,
    retention: false,
    eventLogBytes: 0,
    tombstones: 0,
  });
  await view.close();
  console.log('opened');
} catch (error) {
  console.log(error.code, error.message);
}
