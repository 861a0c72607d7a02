/**
 * The app of an author: the packages of a list in pinned versions, and the packed tarball of this build, installed with
 * npm as a user installs them. `--before` pins what the packages depend on.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inherited } from '../kit/child-process.ts';
import { packed } from '../kit/packed.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import type { Place, PublishedServer } from './stages.ts';

/** No package that is younger is installed. Renew it with the versions of the list. */
const PUBLISHED_BEFORE = '2026-11-24';

/** Installs the packages (`name@version`) and sojourn into an empty folder. Rejects with what npm said. */
export async function installApp(folder: string, packages: readonly string[]): Promise<void> {
  writeFileSync(
    join(folder, 'package.json'),
    '{ "name": "app", "private": true, "type": "module" }\n',
  );
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  args.push(`--before=${PUBLISHED_BEFORE}`, ...packages, await packed());
  await promisify(execFile)('npm', args, { cwd: folder, env: inherited });
}

/** Installs a published server, and makes the folder that clients name. */
export async function placeOf({ packages }: PublishedServer): Promise<Place> {
  const folder = temporaryFolder();
  const [root, app] = [join(folder, 'root'), join(folder, 'app')];
  for (const path of [root, app]) mkdirSync(path);
  writeFileSync(join(root, 'present.txt'), 'present');
  await installApp(app, packages);
  return { app, root, database: join(folder, 'sessions.db') };
}
