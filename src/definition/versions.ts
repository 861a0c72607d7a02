/** The versions of an SDK for an error: the tested version, and the version installed beside this library. */
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { join, normalize } from 'node:path';
import { orUndefined } from '../or-undefined.ts';
import { seamsOf, type SdkServer } from './sdk-server.ts';

export function versionsOf(server: SdkServer): string {
  const { sdk, tested } = seamsOf(server);
  return `${sdk}: installed ${installedVersion(sdk) ?? 'unknown'}, tested ${tested}`;
}

/** `undefined`: it is not installed here, so the server is from another tree. */
function installedVersion(name: string): string | undefined {
  return orUndefined(() => {
    // Bundlers replace an imported `createRequire` and warn. The package of version 1 has no main module.
    const file = module.createRequire(import.meta.url).resolve(name.endsWith('/sdk') ? `${name}/types.js` : name);
    const folder = file.slice(0, file.lastIndexOf(normalize(name)) + name.length);
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly version: string };
    return version;
  });
}
