/**
 * The versions of the optional packages. `npm install sojourn` accepts every version, because most applications never
 * use such a package. So the version is checked where the package is needed, before it is loaded.
 */
import { readFileSync } from 'node:fs';
import nodeModule from 'node:module'; // The banner of a bundle may declare `createRequire`.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageUnsupported } from '../errors.ts';
import { orUndefined } from '../base/or-undefined.ts';

/** The oldest version that works, of each major version that does. docs/reference/support.md says why. */
export const WORKING_VERSIONS = {
  redis: ['4.6', '5.9', '6.0'],
  pg: ['8.7'],
  jose: ['6.0.8'],
} as const satisfies Record<string, readonly string[]>;

export type CheckedPackage = keyof typeof WORKING_VERSIONS;

/**
 * `user`: what needs the package, such as `redis()`. A package that is missing passes, and its `import()` fails. One of
 * unknown version passes too: it is in a bundle.
 * @throws PACKAGE_UNSUPPORTED
 */
export function checkVersion(user: string, name: CheckedPackage): void {
  const found = installedPackage(name);
  if (found === undefined || isWorking(name, found.version)) return;
  throw unsupportedVersion(user, name, `${name} ${found.version} (in ${found.folder})`);
}

/** `found`: what cannot be used. `from`: the first major version that can, where not every working version does. */
export function unsupportedVersion(user: string, name: CheckedPackage, found: string, from = 0): Error {
  const working = WORKING_VERSIONS[name].filter((oldest) => partsOf(oldest)[0] >= from);
  const [major] = partsOf(working.at(-1) ?? '');
  return packageUnsupported(
    user,
    found,
    working.map((oldest) => `${name} ^${oldest}`).join(', '),
    `npm install ${name}@${major}`,
  );
}

function isWorking(name: CheckedPackage, version: string): boolean {
  const [major, minor, patch] = partsOf(version);
  return WORKING_VERSIONS[name].some((oldest) => {
    const [sameMajor, leastMinor, leastPatch] = partsOf(oldest);
    return major === sameMajor && (minor > leastMinor || (minor === leastMinor && patch >= leastPatch));
  });
}

function partsOf(version: string): readonly [major: number, minor: number, patch: number] {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return [major, minor, patch];
}

/** The copy that an `import()` in this library loads. A bundle of this library has its own copy, of unknown version. */
function installedPackage(name: string): Package | undefined {
  const own = ownFile();
  if (own === undefined) return undefined;
  const file = orUndefined(() => nodeModule.createRequire(own).resolve(name));
  const found = file === undefined ? undefined : packageOf(file);
  return found?.name === name ? found : undefined;
}

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
