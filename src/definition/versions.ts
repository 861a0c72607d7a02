/** The versions of an SDK for an error: the tested version, and the version installed beside this library. */
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { orUndefined } from '../or-undefined.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { seamsOf, type SdkServer } from './sdk-server.ts';

export function versionsOf(server: SdkServer): string {
  const { sdk, tested } = seamsOf(server);
  return `${sdk}: installed ${installedVersion(sdk) ?? 'unknown'}, tested ${tested}`;
}

function installedVersion(name: string): string | undefined {
  try {
    // Bundlers replace an imported `createRequire` and warn.
    let folder = dirname(module.createRequire(import.meta.url).resolve(name === V1_SDK ? `${name}/types.js` : name));
    for (; folder !== dirname(folder); folder = dirname(folder)) {
      const version = versionIn(join(folder, 'package.json'), name);
      if (version !== undefined) return version;
    }
  } catch {
    // Not installed here: the server is from another tree.
  }
  return undefined;
}

/** Its package has no main module. */
const V1_SDK = '@modelcontextprotocol/sdk';

function versionIn(file: string, name: string): string | undefined {
  const found: unknown = orUndefined(() => JSON.parse(readFileSync(file, 'utf8')) as unknown);
  return isObject(found) && found['name'] === name && typeof found['version'] === 'string'
    ? found['version']
    : undefined;
}
