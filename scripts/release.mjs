/**
 * The release: both packages, at one version.
 *
 *     npm version 0.4.0 --no-git-tag-version   writes the version at every place of `placesOf`
 *     npm run release                          packs both from a clean clone of HEAD, installs and starts them
 *     npm run release -- --publish             the same, then publishes them with provenance: CI, for a tag `v0.4.0`
 *
 * `repository`, `homepage` and `bugs` are not in the manifests of this repository: CI knows the address it runs at, and
 * provenance is valid for that address alone. So they are written into the packages there.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { root, runOrReject } from './steps.mjs';

/** In the order in which they are published: the second one depends on the first. */
export const PACKAGES = ['.', 'packages/demo'];

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Each file that names the version, and the texts in it for one version. */
export const placesOf = (version) => [
  ['package.json', [`"version": "${version}"`]],
  ['packages/demo/package.json', [`"version": "${version}"`, `"sojourn": "${version}"`]],
  ['src/protocol/versions.ts', [`BUILD_VERSION = '${version}'`]],
  ['examples/deploy/app/package.json', [`"sojourn": "^${version}"`]],
];

/** npm has written the new version into package.json and the lock file when it starts this. */
function writeVersion(version) {
  const build = readFileSync(join(root, 'src/protocol/versions.ts'), 'utf8');
  const old = /BUILD_VERSION = '([^']+)'/.exec(build)[1];
  const places = placesOf(version);
  for (const [index, [file, texts]] of placesOf(old).entries()) {
    let text = readFileSync(join(root, file), 'utf8');
    for (const [at, from] of texts.entries()) text = text.replace(from, places[index][1][at]);
    writeFileSync(join(root, file), text);
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

/** Why this commit cannot be released as `version`. */
export function refusalOf({ version, changelog, tag, repository }) {
  if (!changelog.includes(`\n## ${version}\n`)) return `CHANGELOG.md has no entry for ${version}.`;
  if (tag !== undefined && tag !== `v${version}`)
    return `The tag ${tag} is not v${version}, the version of package.json.`;
  if (tag !== undefined && repository === undefined) return 'GITHUB_REPOSITORY is not set: publish from CI.';
  return undefined;
}

async function release({ publish }) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-release-'));
  const step = async (title, command, args, cwd) => {
    const started = performance.now();
    await runOrReject(command, args, cwd);
    console.log(`ok  ${title}  ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  };
  try {
    const clone = join(folder, 'clone');
    const empty = join(folder, 'empty');
    await step('clone of HEAD', 'git', ['clone', '--quiet', '--no-hardlinks', root, clone], folder);
    const { version } = readJson(join(clone, 'package.json'));
    const refusal = refusalOf({
      version,
      changelog: readFileSync(join(clone, 'CHANGELOG.md'), 'utf8'),
      tag: publish ? (process.env.GITHUB_REF_NAME ?? '') : undefined,
      repository: repositoryOf(process.env, '.'),
    });
    if (refusal !== undefined) throw new Error(refusal);
    await step('npm ci', 'npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], clone);
    await step('what pages take from the source', process.execPath, ['scripts/pages.mjs'], clone);
    await step('… is committed', 'git', ['diff', '--exit-code', '--stat'], clone);
    await step('build', process.execPath, ['scripts/build.mjs'], clone);
    for (const name of PACKAGES) {
      const manifest = join(clone, name, 'package.json');
      const written = { ...readJson(manifest), ...repositoryOf(process.env, name) };
      writeFileSync(manifest, `${JSON.stringify(written, undefined, 2)}\n`);
      await step(
        `${name}: npm pack`,
        'npm',
        ['pack', '--ignore-scripts', '--pack-destination', folder],
        join(clone, name),
      );
      await step(
        `${name}: npm publish --dry-run`,
        'npm',
        ['publish', '--dry-run', '--ignore-scripts'],
        join(clone, name),
      );
    }
    const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    await step(
      'install into an empty folder',
      'npm',
      [
        'install',
        '--prefix',
        empty,
        '--prefer-offline',
        '--no-audit',
        '--no-fund',
        ...tarballs.map((name) => join(folder, name)),
      ],
      folder,
    );
    await step('npx sojourn --version', 'npx', ['--no-install', 'sojourn', '--version'], empty);
    await step('npx sojourn-demo', 'npx', ['--no-install', 'sojourn-demo', '--script', '..k..r..'], empty);
    if (publish)
      for (const name of PACKAGES) {
        const args = ['publish', '--provenance', '--access', 'public', '--ignore-scripts'];
        await step(`${name}: npm publish`, 'npm', args, join(clone, name));
      }
    console.log(publish ? `${version} is published.` : `${version} can be published: tag v${version}.`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ options: { publish: { type: 'boolean' } }, allowPositionals: true });
  if (positionals[0] === 'version') writeVersion(process.env.npm_package_version);
  else
    await release({ publish: values.publish === true }).catch((error) => {
      console.error(error.message);
      process.exitCode = 1;
    });
}
