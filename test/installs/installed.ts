/** Folders of `test/installs/`: programs that tests and benchmarks run, each a project with a lock file of its own. */
import { join } from 'node:path';
// @ts-expect-error a script without declarations
import * as servers from '../../scripts/servers.mjs';

export type ToolFolder =
  | 'adapters'
  | 'compilers'
  | 'conformance'
  | 'ext-tasks'
  | 'otel-2'
  | 'otel-3'
  | 'runtimes'
  | 'sdks'
  | 'sign-in'
  | 'wrappers';

const missing = servers.lackOf as (name: string) => string | undefined;

/** The path of the folder. Throws where its packages are not installed. */
export function installed(folder: ToolFolder): string {
  const lack = missing(folder);
  if (lack !== undefined) throw new Error(`test/installs/${folder}: ${lack}`);
  return join(import.meta.dirname, folder);
}

/** Why tests of the folder are skipped, as part of a title; empty where it is installed, and under CI. */
export function lackOf(folder: ToolFolder): string {
  const lack = process.env['CI'] === undefined ? missing(folder) : undefined;
  return lack === undefined ? '' : ` (${lack})`;
}
