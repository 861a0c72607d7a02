/**
 * `npm run adopt`: what others have published, with sojourn; the packages come from npm's registry, in pinned versions.
 * Each file `test/adopt/<part>.ts` of the list below is a part. `--only PART` runs one of them, `--filter TEXT` the
 * cases whose name contains the text. Versions of the SDK are tried by `test/adopt/sdks.test.ts`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { register } from 'tsx/esm/api';
import { build } from './build.mjs';
import { root } from './steps.mjs';

const { values } = parseArgs({ options: { only: { type: 'string' }, filter: { type: 'string' } } });
if (!build({ ifStale: true })) process.exit(1);
register();

const failed = [];
for (const part of values.only === undefined ? ['dependencies', 'servers'] : [values.only]) {
  const { run } = await import(join(root, `test/adopt/${part}.ts`));
  console.log(`# ${part}`);
  const names = await run({ filter: values.filter, out: (line) => console.log(line) });
  failed.push(...names.map((name) => `${part}: ${name}`));
}
for (const name of failed) console.log(`FAILED  ${name}`);
process.exitCode = failed.length > 0 ? 1 : 0;
