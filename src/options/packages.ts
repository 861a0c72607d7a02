/** The package that a file of this library is in, and what it is when a bundler has moved it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { orUndefined } from '../base/or-undefined.ts';

/** `undefined`: this library is in a bundle. */
export function ownFile(): string | undefined {
  const file = fileOfFrame(0);
  return file !== undefined && packageOf(file)?.name === 'sojourn' ? file : undefined;
}

/**
 * The file of a function on the stack: 0 is this one, 1 its caller. CommonJS, into which some test runners and bundlers
 * turn this library, has no `import.meta`.
 */
export function fileOfFrame(depth: number): string | undefined {
  const { prepareStackTrace, stackTraceLimit } = Error;
  Error.prepareStackTrace = (_, sites) => sites;
  Error.stackTraceLimit = depth + 1;
  try {
    const sites: unknown = new Error('The frames are wanted').stack;
    const file = Array.isArray(sites) ? (sites[depth] as NodeJS.CallSite | undefined)?.getFileName() : undefined;
    return file?.startsWith('file:') ? fileURLToPath(file) : (file ?? undefined);
  } finally {
    Object.assign(Error, { prepareStackTrace, stackTraceLimit });
  }
}

export interface Package {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
}

/** The nearest package with a name. The folders of a build have a `package.json` without a name. */
export function packageOf(file: string): Package | undefined {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const found = orUndefined(() => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Package);
    if (typeof found?.name === 'string') return { name: found.name, version: found.version, folder };
  }
  return undefined;
}
