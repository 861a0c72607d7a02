/** Checks the tarball that npm would publish: publint checks its declarations, attw the resolution of its types. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run } from './steps.mjs';

const folder = mkdtempSync(join(tmpdir(), 'sojourn-pack-'));
try {
  const packed = await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]);
  const tarball = readdirSync(folder).map((name) => join(folder, name))[0];
  if (packed.code !== 0 || !tarball) throw new Error(packed.output);
  const gates = await Promise.all([
    run('publint', ['run', tarball, '--strict']),
    // Every way that TypeScript resolves, `moduleResolution: node` included. The package is an ES module alone.
    run('attw', [tarball, '--ignore-rules', 'cjs-resolves-to-esm', '--no-definitely-typed', '--format', 'ascii']),
  ]);
  for (const { code, output } of gates) {
    if (code === 0) continue;
    console.error(output);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (process.exitCode) console.error(`(in ${root})`);
