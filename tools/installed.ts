/** Folders of `tools/`: programs that tests and benchmarks run, each a project with a lock file of its own. */
import { join } from 'node:path';
// @ts-expect-error a script without declarations
import * as servers from '../scripts/servers.mjs';

export type ToolFolder = 'conformance' | 'ext-tasks' | 'otel-2' | 'otel-3' | 'runtimes' | 'sdks' | 'wrappers';

/** The path of the folder, its packages installed. */
export async function installed(folder: ToolFolder): Promise<string> {
  const lack: unknown = await (servers.lackOf as (name: string) => Promise<unknown>)(folder);
  if (lack !== undefined) throw new Error(`tools/${folder}: ${String(lack)}`);
  return join(import.meta.dirname, folder);
}

/** What `npm test` could not install for the folder, as part of a title; empty where it could, and under CI. */
export function lackOf(folder: ToolFolder): string {
  const lacking = (process.env['SOJOURN_LACKING'] ?? '').split(',');
  return process.env['CI'] === undefined && lacking.includes(folder)
    ? ` (tools/${folder} cannot be installed here)`
    : '';
}
