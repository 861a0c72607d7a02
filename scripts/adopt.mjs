/**
 * `npm run adopt`: what others have published, with sojourn. Each file `test/adopt/<part>.ts` of the list below is a part.
 * `--only PART` runs one of them, `--filter TEXT` the cases whose name contains the text, `--write` writes the table of
 * the SDKs into the docs. The packages come from npm's registry, in pinned versions.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { register } from 'tsx/esm/api';
import { build } from './build.mjs';
import { root } from './steps.mjs';

const PARTS = ['dependencies', 'sdks', 'servers'].filter((part) => existsSync(join(root, `test/adopt/${part}.ts`)));

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    filter: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
if (values.only !== undefined && !PARTS.includes(values.only)) {
  console.error(`--only ${values.only}: the parts are ${PARTS.join(', ')}`);
  process.exit(1);
}
if (values.write && values.filter !== undefined) {
  console.error('--write keeps a whole run: leave out --filter');
  process.exit(1);
}
if (!build({ ifStale: true })) process.exit(1);
register();

const failed = [];
for (const part of values.only === undefined ? PARTS : [values.only]) {
  const { run } = await import(pathToFileURL(join(root, `test/adopt/${part}.ts`)).href);
  console.log(`# ${part}`);
  const options = { filter: values.filter, write: values.write, out: (line) => console.log(line) };
  failed.push(...(await run(options)).map((name) => `${part}: ${name}`));
}
for (const name of failed) console.log(`FAILED  ${name}`);
process.exitCode = failed.length > 0 ? 1 : 0;
