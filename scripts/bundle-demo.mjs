/**
 * Bundles `sojourn demo` after the compiler has run: `dist/cli/demo/` gets one file for the demo, with the official
 * clients of both eras in it, and one for each of its processes. The rest of the package and its dependencies stay
 * outside, shared with the command line.
 *
 * Two parts of the clients stay out, because the demo never runs them: Ajv, which validates results of tools with an
 * `outputSchema`, and the OAuth of the 2025 client. zod is that of `@modelcontextprotocol/server`.
 *
 * `LICENSES.txt` has the licences of what is bundled.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { bundledFiles, licencesOf } from './licences.mjs';

const ENTRIES = ['demo', 'counter', 'map', 'keeper'];
const BUNDLED = ['@modelcontextprotocol/client', '@modelcontextprotocol/sdk'];

/** What replaces a module, by its path. One that is not found means that the clients have changed and this is old. */
const REPLACED = [
  [
    /sdk[\\/]dist[\\/]esm[\\/]client[\\/]auth\.js$/,
    `export const auth = () => { throw new Error('the demo has no OAuth') };
     export const extractWWWAuthenticateParams = () => ({});
     export class UnauthorizedError extends Error {}`,
  ],
  [/sdk[\\/]dist[\\/]esm[\\/]validation[\\/]ajv-provider\.js$/, 'export class AjvJsonSchemaValidator {}'],
  [
    /client[\\/]dist[\\/]shimsNode\.mjs$/,
    'export class DefaultJsonSchemaValidator {}; export const CORS_IS_POSSIBLE = false',
  ],
];

/** npm need not put zod where this package finds it. */
const REQUIRE = `import { createRequire as __require } from 'node:module';
const require = __require(__require(import.meta.url).resolve('@modelcontextprotocol/server'));`;

const packages = (folder, found) => ({
  name: 'packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^zod(\/|$)/ }, ({ path, namespace }) =>
      namespace === 'shared' ? { path, external: true } : { path, namespace: 'shared' },
    );
    onLoad({ filter: /.*/, namespace: 'shared' }, ({ path }) => ({ contents: `module.exports = require('${path}')` }));
    onResolve({ filter: /^(\.\.\/|[^.])/ }, ({ path, importer, kind }) => {
      const isOurs = kind !== 'entry-point' && dirname(importer) === folder;
      return isOurs && !BUNDLED.some((name) => path.startsWith(`${name}/`) || path === name)
        ? { path, external: true }
        : undefined;
    });
    for (const [filter, contents] of REPLACED) {
      onLoad({ filter }, () => {
        found.add(filter);
        return { contents };
      });
    }
  },
});

/** `built` is the folder that becomes `dist/`. It is in the checkout, so that packages are found. */
async function bundle(built) {
  const folder = join(built, 'cli/demo');
  const outdir = `${folder}.bundled`;
  const found = new Set();
  mkdirSync(outdir, { recursive: true });
  const { metafile } = await build({
    metafile: true,
    entryPoints: ENTRIES.map((name) => join(folder, `${name}.js`)),
    outdir,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    legalComments: 'none',
    banner: { js: REQUIRE },
    chunkNames: '[hash]',
    logLevel: 'warning',
    external: ['jose'],
    plugins: [packages(folder, found)],
  });
  const missing = REPLACED.filter(([filter]) => !found.has(filter));
  if (missing.length > 0) throw new Error(`scripts/bundle-demo.mjs: the clients have changed: ${missing.join(', ')}`);
  const used = bundledFiles(metafile);
  const packaged = used.filter((file) => !file.includes('node_modules/.cache/') && !file.startsWith('shared:'));
  writeFileSync(join(outdir, 'LICENSES.txt'), licencesOf(packaged, 'scripts/bundle-demo.mjs'));
  rmSync(folder, { recursive: true });
  renameSync(outdir, folder);
}

await bundle(process.argv[2]);
