// @module-tag matrix
/** Recipes that no test can run are read by the programs that users give them to, or by their own schema. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
// @ts-expect-error -- a script, without types
import { recipeProgram } from '../../../scripts/servers.mjs';
// @ts-expect-error -- a script, without types
import { findProgram } from '../../../scripts/servers.mjs';
import { temporaryFolder } from '../../kit/temporary.ts';

const examples = fileURLToPath(new URL('../../../examples', import.meta.url));
const find = (name: string): string | undefined =>
  (
    (name === 'systemd-analyze' ? findProgram : recipeProgram) as (
      name: string,
    ) => string | undefined
  )(name);

function describeWith(program: string, title: string, tests: () => void): void {
  if (find(program) !== undefined || process.env['CI']) describe(title, tests);
  else describe.skip(`${title} (${program} is not installed: node scripts/servers.mjs)`, tests);
}

interface Verdict {
  readonly status: number | null;
  readonly said: string;
}

function run(program: string, args: readonly string[], cwd: string): Verdict {
  const { status, stdout, stderr } = spawnSync(find(program) ?? program, args, {
    cwd,
    encoding: 'utf8',
  });
  return { status, said: `${stdout}${stderr}`.trim() };
}

describeWith('docker-compose', 'Docker Compose', () => {
  test('takes the recipe', () => {
    process.env['SOJOURN_SECRETS'] = 'k'.repeat(32);
    onTestFinished(() => void delete process.env['SOJOURN_SECRETS']);
    const args = ['-f', 'compose.yaml', 'config', '--quiet'];
    expect(run('docker-compose', args, join(examples, 'deploy/compose'))).toEqual({
      status: 0,
      said: '',
    });
  });
});

describeWith('hadolint', 'hadolint', () => {
  test('has nothing to say about the Dockerfile', () => {
    const args = ['--failure-threshold', 'info', 'Dockerfile'];
    expect(run('hadolint', args, join(examples, 'deploy/app'))).toEqual({ status: 0, said: '' });
  });
});

describeWith('kubernetes-validate', 'the schemas of Kubernetes', () => {
  test.each(['1.30', '1.37'])(
    'of version %s take every file, with no field that they do not know',
    (version) => {
      const args = [
        '--strict',
        '--quiet',
        '-k',
        version,
        'mcp.yaml',
        'network.yaml',
        'secret.yaml',
      ];
      const verdict = run('kubernetes-validate', args, join(examples, 'deploy/kubernetes'));
      expect(verdict).toEqual({ status: 0, said: '' });
    },
  );
});

describeWith('systemd-analyze', 'systemd', () => {
  /** The units as an administrator installs them, where Node is, and one drop-in. */
  function installed(dropIn: string): string {
    const folder = temporaryFolder();
    const unit = join(folder, 'sojourn.service');
    cpSync(join(examples, 'systemd'), folder, { recursive: true });
    for (const name of ['sojourn.service', dropIn]) {
      const text = readFileSync(join(folder, name), 'utf8').replaceAll(
        '/usr/bin/node',
        process.execPath,
      );
      writeFileSync(join(folder, name), text);
    }
    mkdirSync(`${unit}.d`);
    renameSync(join(folder, dropIn), join(`${unit}.d`, dropIn));
    return unit;
  }

  test.each(['workers.conf', 'store.conf'])(
    'has nothing to say about socket, service and %s',
    (dropIn) => {
      const unit = installed(dropIn);
      const { status, said } = run('systemd-analyze', ['verify', unit], dirname(unit));
      // It reads the machine's own units too.
      expect([status, said.split('\n').filter((line) => line.includes('sojourn'))]).toEqual([
        0,
        [],
      ]);
    },
  );

  test('finds that the service is exposed to little', () => {
    const unit = installed('store.conf');
    // In tenths: up to 2.0 of 10.
    const { status, said } = run(
      'systemd-analyze',
      ['security', '--offline=yes', '--threshold=20', unit],
      examples,
    );
    expect([status, said.split('\n').at(-1)]).toEqual([
      0,
      expect.stringContaining('exposure level'),
    ]);
  });
});
