/** What `npm test` does on a machine that has Python and Go, but reaches no registry of theirs. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
// @ts-expect-error a script without types
import { missingFor } from '../../scripts/ensure-clients.mjs';

const script = fileURLToPath(new URL('../../scripts/ensure-clients.mjs', import.meta.url));
const UNREACHED = {
  PIP_INDEX_URL: 'http://127.0.0.1:9',
  PIP_NO_CACHE_DIR: '1',
  PIP_CONFIG_FILE: '/dev/null',
  PIP_FIND_LINKS: '',
  GOPROXY: 'off',
  GOFLAGS: '-modcacherw',
};

function ensure(name: string, more: Record<string, string> = {}): { code: number | null; said: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-clients-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { CI: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, name], {
    env: { ...env, ...UNREACHED, GOMODCACHE: join(folder, 'go'), SOJOURN_CLIENTS_FOLDER: folder, ...more },
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { code: status, said: stdout };
}

for (const [name, ci] of [
  ['python-1', false],
  ['go-sdk', false],
  ['go-sdk', true],
] as const) {
  const needs: string | undefined = missingFor(name);
  test.skipIf(needs !== undefined)(
    `${name}: without its registry ${ci ? 'a check fails under CI' : 'its tests are skipped, with a reason'}`,
    { timeout: 120_000 },
    () => {
      const { code, said } = ensure(name, ci ? { CI: '1' } : {});
      const what = ci ? 'fail' : 'are skipped';
      expect(said).toContain(`client ${name}: its packages cannot be downloaded here; its tests ${what}`);
      expect(code).toBe(ci ? 1 : 0);
    },
  );
}
