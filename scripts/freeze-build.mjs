/**
 * `node scripts/freeze-build.mjs NAME`: keeps the JavaScript of `dist/` as `test/compat/builds/NAME.tgz`. Tests run it
 * beside the current build on one store, both ways, as a rolling deploy does. Freeze a build at its release, and when
 * the messages between instances or the stored data have changed. A build that no deployment runs any more may be
 * deleted.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './steps.mjs';

const [name] = process.argv.slice(2);
if (!/^[\w.-]+$/.test(name ?? '')) {
  console.error('usage: node scripts/freeze-build.mjs NAME, e.g. 0.1.0');
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'sojourn-freeze-'));
try {
  const plain = (path) => !/\.(d\.ts|map)$/.test(path) && !/[/\\]dist[/\\]testing([/\\]|$)/.test(path);
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true, filter: plain });
  const { version, type } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ name: 'sojourn', version, type })}\n`);
  const file = join(root, `test/compat/builds/${name}.tgz`);
  // The same build gives the same bytes.
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  execFileSync('tar', [...same, '-I', 'gzip -9n', '-cf', file, 'dist', 'package.json'], { cwd: folder });
  console.log(`${file}: ${(readFileSync(file).length / 1024).toFixed(0)} KiB`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
