// @module-tag matrix
/**
 * The image of `examples/deploy/app`: its command and its health check, run in a folder that is laid out as the image
 * is.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { SERVE_FLAGS } from '../../../src/cli/flags.ts';
import { connectV2 } from '../../clients/official.ts';
import { startNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/servers/index.ts';
import { recipe } from './recipe-files.ts';
import { temporaryFolder } from '../../kit/temporary.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const app = join(root, 'examples/deploy/app');

/** The Dockerfile as far as it can be carried out without an engine: what its last stage is started with. */
function readImage() {
  const lines = recipe('app/Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const all = (name: string): string[] =>
    lines.flatMap((line) => (line.startsWith(`${name} `) ? [line.slice(name.length + 1)] : []));
  const last = (name: string): string => all(name).at(-1) ?? '';
  // The exec form is JSON; what is no JSON would be run by a shell, which keeps signals to itself.
  const exec = (text: string): string[] => JSON.parse(text) as string[];
  return {
    env: Object.fromEntries(
      all('ENV').flatMap((line) =>
        line.split(' ').map((pair) => pair.split('=') as [string, string]),
      ),
    ),
    user: last('USER'),
    port: Number(last('EXPOSE')),
    stopSignal: last('STOPSIGNAL'),
    healthcheck: exec(last('HEALTHCHECK').replace(/^.*?CMD /, '')),
    command: [...exec(last('ENTRYPOINT')), ...exec(last('CMD'))],
    /** What the build takes from the context. */
    copied: all('COPY').flatMap((line) =>
      line.startsWith('--from') ? [] : line.split(' ').slice(0, -1),
    ),
  };
}

const image = readImage();

/** `/app` of the image. */
function laidOut(): string {
  const folder = temporaryFolder();
  for (const name of image.copied)
    if (name !== 'package-lock.json') cpSync(join(app, name), join(folder, name));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/sojourn'));
  symlinkSync(
    join(root, 'node_modules/@modelcontextprotocol'),
    join(folder, 'node_modules/@modelcontextprotocol'),
  );
  return folder;
}

/** The first process of a container is process 1, to which an unhandled signal does nothing. */
const NAMESPACE = ['--pid', '--fork', '--kill-child'];
/** On Linux, as root. */
const canBeFirst =
  process.platform === 'linux' &&
  spawnSync('unshare', [...NAMESPACE, 'true'], { stdio: 'ignore' }).status === 0;

async function start() {
  const folder = laidOut();
  const port = await freePort();
  const env = {
    PATH: process.env['PATH'],
    ...image.env,
    SOJOURN_PORT: String(port),
    SOJOURN_HOST: '127.0.0.1',
  };
  const [, ...args] = image.command;
  const { child, output, closed, says } = canBeFirst
    ? startNode([...NAMESPACE, process.execPath, ...args], { program: 'unshare', cwd: folder, env })
    : startNode(args, { cwd: folder, env });
  const pid = (): number =>
    canBeFirst
      ? Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8'))
      : (child.pid ?? 0);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    listens: () => says(/Stop with/),
    isHealthy() {
      const [, ...check] = image.healthcheck;
      return spawnSync(process.execPath, check, { cwd: folder, env, timeout: 10_000 }).status === 0;
    },
    async stop() {
      process.kill(pid(), image.stopSignal);
      const [code] = await closed;
      return { code, output: output.stdout };
    },
  };
}

describe('the image', () => {
  test('runs Node itself, as a user who is not root, with what the build puts there', () => {
    expect(image.command.slice(0, 2)).toEqual([
      'node',
      `node_modules/sojourn/${manifest.bin.sojourn}`,
    ]);
    expect(image.healthcheck[0]).toBe('node');
    expect(image.user).toBe('1000:1000');
    expect(image.port).toBe(SERVE_FLAGS.port.fallback);
    expect(image.env).toEqual({ NODE_ENV: 'production', SOJOURN_HOST: '0.0.0.0' });
    const ignored = recipe('app/.dockerignore').split('\n');
    for (const name of image.copied) {
      expect(ignored).toContain(`!${name}`);
      expect(name === 'package-lock.json' || existsSync(join(app, name))).toBe(true);
    }
    // The lock file is the reader's, who makes it with the command of the page. Nothing else is missing.
    expect(recipe('compose/compose.yaml')).toContain(
      'npm install --package-lock-only --prefix ../app',
    );
    expect(readdirSync(app).toSorted()).toEqual([
      '.dockerignore',
      'Dockerfile',
      'package.json',
      'server.js',
    ]);
  });

  test('installs what its store and its server need, in the versions that are tested', () => {
    const { dependencies } = JSON.parse(recipe('app/package.json')) as {
      dependencies: Record<string, string>;
    };
    expect(dependencies).toEqual({
      '@modelcontextprotocol/server': manifest.dependencies['@modelcontextprotocol/server'],
      sojourn: `^${manifest.version}`,
      'sojourn-redis': `^${manifest.version}`,
    });
  });

  test('serves, as process 1 where this machine allows that, is healthy by its own check, and drains', async () => {
    const { url, listens, isHealthy, stop } = await start();
    await listens();
    expect(isHealthy()).toBe(true);
    const client = await connectV2(url);
    expect([await client.say('count'), await client.say('count')]).toEqual(['1', '2']);
    const { code, output } = await stop();
    expect([code, output.includes('SIGTERM: draining'), isHealthy()]).toEqual([0, true, false]);
  });
});
