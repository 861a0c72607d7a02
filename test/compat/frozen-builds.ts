/** Builds that were released, or could have been: `scripts/freeze-build.mjs` makes them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('builds/', import.meta.url));
/** Below the packages of the repository, which a build finds from there. */
const unpacked = fileURLToPath(new URL('../../node_modules/.cache/sojourn/frozen/', import.meta.url));

export const frozenBuilds: readonly string[] = readdirSync(folder).map((file) => file.replace(/\.tgz$/, ''));

/** The folder of its build. */
export function unpackBuild(name: string): string {
  const file = join(folder, `${name}.tgz`);
  const target = join(unpacked, `${name}-${statSync(file).size}`);
  if (!existsSync(target)) {
    mkdirSync(unpacked, { recursive: true });
    const making = mkdtempSync(join(unpacked, 'making-'));
    execFileSync('tar', ['-xzf', file, '-C', making]);
    try {
      renameSync(making, target);
    } catch (error) {
      // Another test file was quicker.
      rmSync(making, { recursive: true });
      if (!existsSync(target)) throw error;
    }
  }
  return join(target, 'dist');
}
