/**
 * The copy of the SDK that a server is of, for a log line. Its classes do not know their version, and one process may
 * have several copies. So this finds the file of the class, and the package that the file is in.
 */
import { fileOfFrame, packageOf } from '../options/packages.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { seamsOf, type SdkServer, type SdkServerClass } from './sdk-server.ts';

/** Such as `@modelcontextprotocol/server 2.0.0 (in /app/node_modules/…), and 2.0.0 to 2.4.0 were tried`. */
export function versionsOf(server: SdkServer): string {
  const { sdk, oldest, newest } = seamsOf(server);
  const file = orUndefined(() => fileOf(server.constructor));
  const found = file === undefined ? undefined : packageOf(file);
  // A bundle is in the package of its application.
  const { version, place } =
    found?.name === sdk ? { ...found, place: found.folder } : { version: 'of an unknown version', place: file };
  return `${sdk} ${version}${place === undefined ? '' : ` (in ${place})`}, and ${oldest} to ${newest} were tried`;
}

/**
 * The constructor of a server reads `capabilities`, so it is the caller of this getter. No code of the application
 * runs. `undefined`: the runtime does not say.
 */
function fileOf(serverClass: SdkServerClass): string | undefined {
  let file: string | undefined;
  const options = {
    get capabilities(): object {
      file ??= fileOfFrame(2);
      return {};
    },
  };
  new serverClass({ name: 'sojourn', version: '0' }, options);
  return file;
}
