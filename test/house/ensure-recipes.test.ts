/** How `npm test` installs the programs of the recipes, with a `python3` that only records its calls. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/ensure-recipes.mjs', import.meta.url));

/** Makes a `pip` that succeeds or fails, as the file `pip-fails` says. */
const PYTHON = `#!/bin/sh
echo "python3 $*" >> calls
mkdir -p venv/bin
cat > venv/bin/pip <<'END'
#!/bin/sh
echo "pip $*" >> calls
[ ! -e pip-fails ] || { echo 'ERROR: these packages do not match the hashes'; exit 1; }
END
chmod 755 venv/bin/pip
`;

/** A folder of tools, on a machine with or without Python. */
function machine({ python = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-machine-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'requirements.txt'), 'one==1\n');
  if (python) {
    writeFileSync(join(folder, 'bin/python3'), PYTHON);
    chmodSync(join(folder, 'bin/python3'), 0o755);
  }
  const code = `const { ensureRecipes } = await import(${JSON.stringify(script)});
    console.log(JSON.stringify(await ensureRecipes(${JSON.stringify(folder)})));`;
  const path = python ? `${join(folder, 'bin')}:${process.env['PATH']}` : join(folder, 'bin');
  return {
    folder,
    ensure(more: Record<string, string> = {}) {
      const { CI: _, ...env } = process.env;
      const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
        env: { ...env, PATH: path, ...more },
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      const lines = stdout.trimEnd().split('\n');
      return { problems: JSON.parse(lines.pop() ?? '') as string[], said: lines.join('\n') };
    },
    calls: () =>
      existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trimEnd().split('\n') : [],
  };
}

test('the pinned packages are installed once, and again when a pin changes', () => {
  const { folder, ensure, calls } = machine();
  expect(ensure()).toEqual({ problems: [], said: expect.stringMatching(/^programs of the recipes: installed in /) });
  expect(calls()).toEqual([
    'python3 -m venv venv',
    'pip install --quiet --no-compile --require-hashes --no-deps -r requirements.txt',
  ]);
  expect(ensure()).toEqual({ problems: [], said: '' });
  expect(calls()).toHaveLength(2);
  writeFileSync(join(folder, 'requirements.txt'), 'one==2\n');
  expect(ensure().problems).toEqual([]);
  expect(calls()).toHaveLength(4);
});

test('a package with another hash is not installed, and the next run tries again', () => {
  const { folder, ensure } = machine();
  writeFileSync(join(folder, 'pip-fails'), '');
  const { problems, said } = ensure();
  expect(problems).toEqual(['the programs of tools/recipes are not installed']);
  expect(said).toMatch(/do not match the hashes[^]*their tests are skipped/);
  rmSync(join(folder, 'pip-fails'));
  expect(ensure().problems).toEqual([]);
});

test('without Python the tests are skipped, and fail under CI', () => {
  const { ensure } = machine({ python: false });
  expect(ensure().said).toMatch(/python3: .*ENOENT[^]*their tests are skipped/);
  expect(ensure({ CI: 'true' }).said).toMatch(/their tests fail/);
});
