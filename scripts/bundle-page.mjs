/**
 * Bundles the page of the dashboard after the compiler has run: `dist/dashboard/page/` gets `index.html`, and the
 * scripts and styles under names with a hash of their text. uPlot has a file of its own, which is loaded with the first
 * chart. `LICENSES.txt` has the licences of what is bundled.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundledFiles, licencesOf } from './licences.mjs';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'dashboard');

/** What `index.html` calls the output of an entry. */
const NAMES = {
  'dashboard/main.tsx': 'main.js',
  'dashboard/style.css': 'style.css',
  'dashboard/icon.svg': 'icon.svg',
};

/** `built` is the folder that becomes `dist/`. */
export async function bundlePage(built) {
  const outdir = join(built, 'dashboard/page');
  rmSync(outdir, { recursive: true, force: true });
  mkdirSync(outdir, { recursive: true });
  const { metafile } = await build({
    absWorkingDir: root,
    metafile: true,
    entryPoints: ['main.tsx', 'style.css', 'icon.svg'].map((name) => join(source, name)),
    loader: { '.svg': 'copy' },
    outdir,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: ['chrome123', 'firefox125', 'safari17.5'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    logLevel: 'warning',
  });
  let html = readFileSync(join(source, 'index.html'), 'utf8');
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
    const name = NAMES[entryPoint];
    if (name !== undefined) html = html.replace(`"${name}"`, `"${basename(file)}"`);
  }
  writeFileSync(join(outdir, 'index.html'), html.replace(/>\n\s+</g, '>\n<'));
  const packaged = bundledFiles(metafile).filter((file) => file.includes('node_modules/'));
  writeFileSync(join(outdir, 'LICENSES.txt'), licencesOf(packaged, 'scripts/bundle-page.mjs'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundlePage(process.argv[2] ?? join(root, 'dist'));
