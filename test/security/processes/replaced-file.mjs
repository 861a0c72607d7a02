/**
 * Opens a SQLite store, as the user that it is started as, while another user replaces one of its files. Prints what
 * became of it. Arguments: the path of the database, the file to replace, the file that takes its place.
 */
import { renameSync } from 'node:fs';
import { openFile, systemRandom, systemTime } from '../../../dist/internals.js';

const [path, replaced, planted] = process.argv.slice(2);
const quiet = () => {};
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
// Runs between the check before SQLite opens the files and the one after it.
const pragmas = {
  *[Symbol.iterator]() {
    if (planted !== undefined) renameSync(planted, replaced);
    yield 'cache_size';
  },
};
try {
  const settings = { path, synchronous: 'normal', pragmas };
  await openFile(settings, { time: systemTime, random: systemRandom }, logger);
  console.log('opened');
} catch (error) {
  console.log(String(error));
}
process.exit();
