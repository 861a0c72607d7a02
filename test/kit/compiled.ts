import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';

const outdir = join(import.meta.dirname, '../../node_modules/.cache/sojourn/programs');
const BUNDLE = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  packages: 'external',
  write: false,
} as const;

/** The path of one script of a program in TypeScript. A start under tsx costs up to a second of CPU more. */
export function compiled(program: string): string {
  const { outputFiles } = buildSync({
    ...BUNDLE,
    entryPoints: [program],
    outdir,
    entryNames: '[name]-[hash]',
  });
  const { path, contents } = outputFiles[0]!;
  mkdirSync(outdir, { recursive: true });
  // Another test file may be starting it.
  writeFileSync(`${path}.${process.pid}`, contents);
  renameSync(`${path}.${process.pid}`, path);
  return path;
}
