/**
 * `npm run build`: the compiler writes the declarations, esbuild one script for each way into the package, with what
 * they share in `dist/chunks`, and the page of the dashboard. A process that runs from dist/ during the build sees the
 * old build or the new one. `--if-stale` does nothing when dist/ was built from the present sources.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
const cache = join(root, 'node_modules/.cache/sojourn');
const stamp = join(cache, 'built-from');
/** What each script of dist/ was made of, as esbuild tells it. */
export const BUNDLE = join(cache, 'bundle.json');

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

/** A hash of everything that decides the result of the build. */
function fingerprint() {
  const hash = createHash('sha256');
  const settings = [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'scripts/build.mjs',
  ];
  const sources = ['src', ...STORES.map((name) => `packages/${name}/src`)].flatMap((folder) =>
    filesBelow(join(root, folder)),
  );
  for (const file of [
    ...settings.map((name) => join(root, name)),
    join(root, INTERNALS),
    ...sources,
  ])
    hash.update(relative(root, file)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

/** Packages of their own, built against the declarations of this one. */
const STORES = ['redis', 'postgres'];

/** Parts that programs of tests measure in a process of their own. The package leaves them out. */
const INTERNALS = 'test/kit/internals.ts';

/** The sources of the exports and of the command, by their place in dist/. */
function entries() {
  const { exports, bin } = readJson(join(root, 'package.json'));
  const scripts = [
    ...Object.values(exports).flatMap((target) => target.default ?? []),
    ...Object.values(bin),
  ];
  const places = scripts.map((script) => script.replace(/^(\.\/)?dist\/(.*)\.js$/, '$2'));
  return {
    internals: INTERNALS,
    ...Object.fromEntries(places.map((place) => [place, `src/${place}.ts`])),
  };
}

/** What each script is bundled with. */
const MODULES = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  legalComments: 'none',
  logLevel: 'warning',
};

function bundleScripts(built) {
  const { metafile } = buildSync({
    ...MODULES,
    platform: 'node',
    target: 'node20',
    packages: 'external',
    entryPoints: entries(),
    outdir: built,
    metafile: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
  });
  writeFileSync(
    BUNDLE,
    JSON.stringify(metafile.outputs).replaceAll(`${relative(root, built)}/`, ''),
  );
  chmodSync(join(built, 'cli/main.js'), 0o755);
}

/** What `index.html` calls the output of an entry. */
const PAGE_NAMES = {
  'src/dashboard/page/main.tsx': 'main.js',
  'src/dashboard/page/style.css': 'style.css',
  'src/dashboard/page/icon.svg': 'icon.svg',
};

/** Scripts and styles have a hash of their text in their names. `LICENSES.txt` has the licences of what is bundled. */
function bundlePage(built) {
  const outdir = join(built, 'dashboard/page');
  const { metafile } = buildSync({
    ...MODULES,
    metafile: true,
    entryPoints: Object.keys(PAGE_NAMES),
    loader: { '.svg': 'copy' },
    outdir,
    splitting: true,
    minify: true,
    platform: 'browser',
    target: ['chrome123', 'firefox125', 'safari17.5'],
    // Children that are arguments make the script smaller than those that are a member of the properties.
    tsconfigRaw: {
      compilerOptions: { jsx: 'react', jsxFactory: 'h', jsxFragmentFactory: 'Fragment' },
    },
    inject: [join(root, 'src/dashboard/page/jsx.ts')],
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
  });
  let html = readFileSync(join(root, 'src/dashboard/page/index.html'), 'utf8');
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs))
    if (entryPoint in PAGE_NAMES)
      html = html.replace(`"${PAGE_NAMES[entryPoint]}"`, `"${basename(file)}"`);
  writeFileSync(join(outdir, 'index.html'), html.replace(/>\n\s+</g, '>\n<'));
  writeFileSync(join(outdir, 'LICENSES.txt'), licencesOf(metafile));
}

function licencesOf({ outputs }) {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const used = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file);
  const folders = used.flatMap(
    (file) => /^.*node_modules\/(?:@[^/]+\/)?[^/.][^/]*(?=\/)/.exec(file)?.[0] ?? [],
  );
  const texts = new Map();
  for (const folder of new Set(folders)) {
    const { name, version } = readJson(join(root, folder, 'package.json'));
    const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    const text = readFileSync(join(root, folder, file), 'utf8').trim();
    texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
  }
  return [...texts]
    .map(([text, names]) => `${names.join(', ')}\n\n${text}\n`)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

/**
 * Declarations that an export reaches, import by import. `.ts` in them becomes `.js`, as in JavaScript, and an inferred
 * `Uint8Array` has no parameter: compilers before 5.7 know none.
 */
function finishDeclarations(built, manifest = join(root, 'package.json')) {
  const { exports } = readJson(manifest);
  const reached = new Set();
  const visit = (file) => {
    if (reached.has(file) || !existsSync(file)) return;
    reached.add(file);
    const text = readFileSync(file, 'utf8');
    const finished = text
      .replace(/((?:from|import) ?\(?['"]\.{1,2}\/[^'"\n]*)(?<!\.d)\.ts(?=['"])/g, '$1.js')
      .replaceAll('Uint8Array<ArrayBufferLike>', 'Uint8Array');
    if (finished !== text) writeFileSync(file, finished);
    for (const [, path] of finished.matchAll(/(?:from|import) ?\(?['"](\.{1,2}\/[^'"\n]*)['"]/g))
      visit(resolve(file, '..', path.replace(/\.js$/, '.d.ts')));
  };
  for (const { types } of Object.values(exports))
    if (types) visit(join(built, types.replace(/^\.\/dist\//, '')));
  for (const file of filesBelow(built))
    if (file.endsWith('.d.ts') && !reached.has(file)) rmSync(file);
}

/** Two builds may end at once. A build that finds dist/ taken or missing between the two renames retries. */
function swap(built, into = dist) {
  const old = `${built}.old`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (existsSync(into)) renameSync(into, old);
      renameSync(built, into);
      break;
    } catch (error) {
      if (attempt === 10 || !['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
      rmSync(old, { recursive: true, force: true });
    }
  }
  rmSync(old, { recursive: true, force: true });
}

/** `false`: the compiler has complaints. It runs once for all of them. */
function buildStores(built, stdio) {
  const types = compile('packages/tsconfig.build.json', built, stdio);
  for (const name of STORES) {
    finishDeclarations(join(built, name, 'src'), join(root, 'packages', name, 'package.json'));
    swap(join(built, name, 'src'), join(root, 'packages', name, 'dist'));
  }
  rmSync(built, { recursive: true, force: true });
  return types;
}

function compile(project, outDir, stdio) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(
    process.execPath,
    [tsc, '-p', join(root, project), '--outDir', outDir],
    {
      cwd: root,
      stdio,
    },
  );
  return status === 0;
}

/** Returns true when dist/ holds a build of these sources without errors. `quiet` hides the compiler's complaints. */
export function build({ ifStale = false, quiet = false } = {}) {
  const now = fingerprint();
  if (ifStale && existsSync(dist) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now)
    return true;
  const built = join(cache, `dist-${process.pid}`);
  rmSync(built, { recursive: true, force: true });
  mkdirSync(built, { recursive: true });
  const stdio = quiet ? 'ignore' : 'inherit';
  const types = compile('tsconfig.build.json', built, stdio);
  try {
    bundleScripts(built);
    bundlePage(built);
  } catch (error) {
    console.error(error.message);
    rmSync(built, { recursive: true, force: true });
    return false;
  }
  finishDeclarations(built);
  swap(built);
  rmSync(stamp, { force: true });
  const isRight = buildStores(built, stdio) && types;
  if (isRight) writeFileSync(stamp, now);
  return isRight;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = build({ ifStale: process.argv.includes('--if-stale') }) ? 0 : 1;
