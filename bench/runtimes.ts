import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Runtime {
  readonly path: string;
  readonly version: string;
  readonly major: number;
}

/** A Node.js by major version ('24': the running binary, or the binary of tools/runtimes) or by path. */
export function findRuntime(wanted: string): Runtime {
  const path = runtimePath(wanted);
  if (!existsSync(path)) throw new Error(`no Node.js at ${path}: npm ci --prefix tools/runtimes`);
  const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  return { path, version, major: Number.parseInt(version, 10) };
}

function runtimePath(wanted: string): string {
  if (!/^\d+$/.test(wanted)) return wanted;
  if (process.versions.node.startsWith(`${wanted}.`)) return process.execPath;
  return fileURLToPath(new URL(`../tools/runtimes/node_modules/node-${wanted}/bin/node`, import.meta.url));
}
