/** Recipes that no test can run are read by the programs that users give them to, or by their own schema. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
// @ts-expect-error -- a script, without types
import { recipeProgram } from '../../scripts/servers.mjs';
// @ts-expect-error -- a script, without types
import { findProgram } from '../../scripts/servers.mjs';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const find = (name: string): string | undefined =>
  ((name === 'systemd-analyze' ? findProgram : recipeProgram) as (name: string) => string | undefined)(name);

function describeWith(program: string, title: string, tests: () => void): void {
  if (find(program) !== undefined || process.env['CI']) describe(title, tests);
  else describe.skip(`${title} (${program} is not installed: node scripts/servers.mjs)`, tests);
}

interface Verdict {
  readonly status: number | null;
  readonly said: string;
}

function run(program: string, args: readonly string[], cwd: string): Verdict {
  const { status, stdout, stderr } = spawnSync(find(program) ?? program, args, { cwd, encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}`.trim() };
}

/** A copy of `examples`, of which a test may break a file. */
function copied() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-recipes-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of ['deploy', 'systemd']) cpSync(join(examples, name), join(folder, name), { recursive: true });
  const edit = (file: string, from: string | RegExp, to: string): void => {
    const path = join(folder, file);
    const text = readFileSync(path, 'utf8');
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    writeFileSync(path, changed);
  };
  return { folder, edit };
}

describeWith('docker-compose', 'Docker Compose', () => {
  const config = (folder: string): Verdict =>
    run('docker-compose', ['-f', 'compose.yaml', 'config', '--quiet'], join(folder, 'deploy/compose'));

  test('takes the recipe', () => {
    expect(config(examples)).toEqual({ status: 0, said: '' });
  });

  test.each([
    ['a key that it does not know', '    mem_limit: 512m', '    memory_limit: 512m', /memory_limit/],
    ['a condition that does not exist', 'condition: service_healthy', 'condition: never', /condition/],
    ['a network that is not declared', 'networks: [front]', 'networks: [outside]', /outside/],
  ])('refuses %s', (_, from, to, said) => {
    const { folder, edit } = copied();
    edit('deploy/compose/compose.yaml', from, to);
    expect(config(folder)).toEqual({ status: expect.toSatisfy((n) => n > 0), said: expect.stringMatching(said) });
  });
});

describeWith('hadolint', 'hadolint', () => {
  const lint = (folder: string): Verdict =>
    run('hadolint', ['--failure-threshold', 'info', 'Dockerfile'], join(folder, 'deploy/app'));

  test('has nothing to say about the Dockerfile', () => {
    expect(lint(examples)).toEqual({ status: 0, said: '' });
  });

  test('refuses a version of the base image that moves', () => {
    const { folder, edit } = copied();
    edit('deploy/app/Dockerfile', /FROM node:\S+\nENV/, 'FROM node\nENV');
    expect(lint(folder)).toMatchObject({ status: 1, said: expect.stringContaining('DL3006') });
  });
});

describeWith('kubernetes-validate', 'the schemas of Kubernetes', () => {
  const validate = (folder: string, version: string): Verdict => {
    const args = ['--strict', '--quiet', '-k', version, 'mcp.yaml', 'network.yaml', 'secret.yaml'];
    return run('kubernetes-validate', args, join(folder, 'deploy/kubernetes'));
  };

  test.each(['1.30', '1.37'])('of version %s take every file, with no field that they do not know', (version) => {
    expect(validate(examples, version)).toEqual({ status: 0, said: '' });
  });

  test('refuse each file when a field has another name', () => {
    const { folder, edit } = copied();
    edit('deploy/kubernetes/mcp.yaml', 'readOnlyRootFilesystem', 'readOnlyRootFileSystem');
    edit('deploy/kubernetes/network.yaml', 'podSelector', 'podSelectors');
    edit('deploy/kubernetes/secret.yaml', 'stringData', 'stringsData');
    const { status, said } = validate(folder, '1.37');
    expect(status).toBe(1);
    for (const name of ['readOnlyRootFileSystem', 'podSelectors', 'stringsData']) expect(said).toContain(name);
  });
});

describeWith('systemd-analyze', 'systemd', () => {
  /** The units as an administrator installs them, where Node is, and one drop-in. */
  function installed(dropIn: string) {
    const { folder, edit } = copied();
    const units = join(folder, 'systemd');
    const unit = join(units, 'sojourn.service');
    for (const name of ['sojourn.service', dropIn]) {
      const text = readFileSync(join(units, name), 'utf8').replaceAll('/usr/bin/node', process.execPath);
      writeFileSync(join(units, name), text);
    }
    mkdirSync(`${unit}.d`);
    renameSync(join(units, dropIn), join(`${unit}.d`, dropIn));
    /** Without what it says of the machine's own units, which it reads too. */
    const verify = (): Verdict => {
      const { status, said } = run('systemd-analyze', ['verify', unit], units);
      const lines = said.split('\n').filter((line) => line.includes('sojourn'));
      return { status, said: lines.join('\n') };
    };
    return { unit, edit, verify };
  }

  test.each(['workers.conf', 'store.conf'])('has nothing to say about socket, service and %s', (dropIn) => {
    expect(installed(dropIn).verify()).toEqual({ status: 0, said: '' });
  });

  test.each([
    ['sojourn.service', 'ProtectHome', 'ProtectHomes'],
    ['sojourn.service.d/workers.conf', 'MemoryMax', 'MemoryMost'],
    ['sojourn.socket', 'Backlog', 'Backlogs'],
  ])('finds a setting of %s that it does not know', (file, from, to) => {
    const { edit, verify } = installed('workers.conf');
    edit(`systemd/${file}`, from, to);
    expect(verify().said).toMatch(new RegExp(`Unknown key( name)? '${to}'`));
  });

  test('finds that the service is exposed to little', () => {
    const { unit } = installed('store.conf');
    // In tenths: up to 2.0 of 10.
    const { status, said } = run('systemd-analyze', ['security', '--offline=yes', '--threshold=20', unit], examples);
    expect([status, said.split('\n').at(-1)]).toEqual([0, expect.stringContaining('exposure level')]);
  });
});
