/** The store of `sojourn dev`, where neither the command line nor the module names one: a file in the folder. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { Failure, reason } from './failure.ts';
import { type ChosenStore, storeOf } from './store-url.ts';

const FOLDER = '.sojourn';

/** Each module has its own file: instances that share a store serve one another's sessions. */
export async function projectStore(module: string, cwd: string): Promise<ChosenStore> {
  const folder = join(cwd, FOLDER);
  try {
    if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined)
      writeFileSync(join(folder, '.gitignore'), '*\n');
  } catch (cause) {
    throw new Failure(`cannot make the folder ${folder}: ${reason(cause)}; choose another store with --store`, {
      cause,
    });
  }
  const name = relative(cwd, resolve(cwd, module)).replaceAll(/[^\w.-]/g, '-');
  return storeOf(`sqlite:${join(folder, `${name}.db`)}`, 'sojourn dev');
}
