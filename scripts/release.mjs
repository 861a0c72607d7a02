/**
 * The release: every package, at one version.
 *
 *     npm version 0.4.0 --no-git-tag-version   writes the version at every place of `PLACES`
 *     npm run release -- --dry-run             packs all from a clean clone of HEAD, installs and starts them
 *     npm run release -- --publish             the same, then publishes them with provenance: CI, for a tag `v0.4.0`
 *
 * `repository`, `homepage` and `bugs` are not in the manifests of this repository: CI knows the address it runs at, and
 * provenance is valid for that address alone. So they are written into the packages there, and the links of the pages
 * that npm shows lead to that address.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, runOrReject } from './steps.mjs';

/** In the order in which they are published: the others depend on the first. */
export const PACKAGES = ['.', 'packages/demo', 'packages/postgres', 'packages/redis'];

/** Each file that names the version, and the texts in it before the version. */
export const PLACES = {
  'package.json': ['"version": "'],
  'README.md': ['../sojourn/sojourn-'],
  'packages/demo/package.json': ['"version": "', '"sojourn": "'],
  'src/base/protocol/versions.ts': ["BUILD_VERSION = '"],
  'packages/postgres/package.json': ['"version": "', '"sojourn": "'],
  'packages/redis/package.json': ['"version": "', '"sojourn": "'],
  'examples/deploy/app/package.json': ['"sojourn": "^', '"sojourn-redis": "^'],
};

/** npm has written the new version into package.json and the lock file when it starts this. */
function writeVersion(version) {
  const [, old] = /BUILD_VERSION = '([^']+)'/.exec(
    readFileSync(join(root, 'src/base/protocol/versions.ts'), 'utf8'),
  );
  for (const [file, before] of Object.entries(PLACES)) {
    const text = readFileSync(join(root, file), 'utf8');
    writeFileSync(
      join(root, file),
      before.reduce((now, one) => now.replace(one + old, one + version), text),
    );
  }
}

/** What a package says of its repository, from the variables of a workflow. */
export function repositoryOf({ GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name }, folder) {
  if (!server || !name) return undefined;
  const directory = folder === '.' ? {} : { directory: folder };
  return {
    repository: { type: 'git', url: `git+${server}/${name}.git`, ...directory },
    homepage: `${server}/${name}#readme`,
    bugs: { url: `${server}/${name}/issues` },
  };
}

/** A page of a package as npm shows it: relative links and images lead to the tag of the version. */
export function pageOf(
  text,
  { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name },
  folder,
  version,
) {
  if (!server || !name) return text;
  return text.replaceAll(/\]\((?![a-z]+:|#)([^)\s]+)\)/g, (_, link) => {
    const kind = /\.(?:svg|webp)$/.test(link) ? 'raw' : 'blob';
    return `](${server}/${name}/${kind}/v${version}/${posix.join(folder, link)})`;
  });
}

/** Why this commit cannot be released as `version`. */
function refusalOf({ version, changelog, tag, repository }) {
  if (!changelog.includes(`\n## ${version}\n`)) return `CHANGELOG.md has no entry for ${version}.`;
  if (tag === undefined) return undefined;
  if (tag !== `v${version}`)
    return `The tag ${tag} is not v${version}, the version of package.json.`;
  return repository === undefined ? 'GITHUB_REPOSITORY is not set: publish from CI.' : undefined;
}

async function release(publish) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-release-'));
  const [clone, empty] = [join(folder, 'clone'), join(folder, 'empty')];
  const step = async (cwd, command, ...args) => {
    console.log(`# ${command} ${args.join(' ')}`);
    await runOrReject(command, args, cwd);
  };
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
  try {
    await step(folder, 'git', 'clone', '--quiet', '--no-hardlinks', root, clone);
    const { version } = JSON.parse(readFileSync(join(clone, 'package.json'), 'utf8'));
    const refusal = refusalOf({
      version,
      changelog: readFileSync(join(clone, 'CHANGELOG.md'), 'utf8'),
      tag: publish ? (process.env.GITHUB_REF_NAME ?? '') : undefined,
      repository: repositoryOf(process.env, '.'),
    });
    if (refusal !== undefined) throw new Error(refusal);
    await step(clone, 'npm', 'ci', ...quiet);
    await step(clone, process.execPath, 'scripts/build.mjs');
    for (const name of PACKAGES) {
      const manifest = join(clone, name, 'package.json');
      const written = {
        ...JSON.parse(readFileSync(manifest, 'utf8')),
        ...repositoryOf(process.env, name),
      };
      writeFileSync(manifest, `${JSON.stringify(written, undefined, 2)}\n`);
      const page = join(clone, name, 'README.md');
      writeFileSync(page, pageOf(readFileSync(page, 'utf8'), process.env, name, version));
      await step(
        join(clone, name),
        'npm',
        'pack',
        '--ignore-scripts',
        '--pack-destination',
        folder,
      );
    }
    const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    await step(
      folder,
      'npm',
      'install',
      '--prefix',
      empty,
      ...quiet,
      ...tarballs.map((name) => join(folder, name)),
    );
    await step(empty, 'npx', '--no-install', 'sojourn', '--version');
    await step(empty, 'npx', '--no-install', 'sojourn-demo', '--script', '..k..r..');
    for (const name of publish ? PACKAGES : [])
      await step(join(clone, name), 'npm', 'publish', '--ignore-scripts');
    console.log(
      publish ? `${version} is published.` : `${version} can be published: tag v${version}.`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [mode] = process.argv.slice(2);
  if (mode === 'version') writeVersion(process.env.npm_package_version);
  else if (mode === '--publish' || mode === '--dry-run') await release(mode === '--publish');
  else throw new Error('npm run release -- --dry-run, or --publish in CI');
}
