/** Folders of `tools/`: programs that tests and benchmarks run, each a project with a lock file of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export type ToolFolder =
  | 'conformance'
  | 'ext-tasks'
  | 'otel-2'
  | 'otel-3'
  | 'others'
  | 'runtimes'
  | 'sdks'
  | 'wrappers';

const installing = new Map<ToolFolder, Promise<string>>();
const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The path of the folder, its packages installed. Asked once per process; processes wait for each other. */
export function installed(folder: ToolFolder): Promise<string> {
  const asked = installing.get(folder) ?? install(folder);
  installing.set(folder, asked);
  return asked;
}

/** What `npm test` could not download for the folder, as part of a title; empty where it could, and under CI. */
export function lackOf(folder: ToolFolder): string {
  const lacking = (process.env['SOJOURN_LACKING_TOOLS'] ?? '').split(',');
  const isLacking = process.env['CI'] === undefined && lacking.includes(`tools/${folder}`);
  return isLacking ? ` (the packages of tools/${folder} cannot be downloaded here)` : '';
}

async function install(folder: ToolFolder): Promise<string> {
  await promisify(execFile)(process.execPath, [pathOf('../scripts/ensure-tools.mjs'), `tools/${folder}`]);
  return pathOf(folder);
}
