/** How `npm test` treats servers that are not installed, with an apt-get that only records its calls. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../kit/until.ts';

const script = fileURLToPath(new URL('../../scripts/ensure-servers.mjs', import.meta.url));
const ALL = ['redis-server', 'initdb', 'postgres', 'pgbouncer', 'nginx', 'haproxy', 'promtool', 'chromium'];
const PACKAGES = 'redis-server postgresql pgbouncer nginx haproxy prometheus chromium';

/** Writes its call and the guard files to `calls`. In the lines that a test adds, `$1` is the command. */
const APT = `#!/bin/sh
cd "$(dirname "$0")/.."
command=$1
packages=$(for word in "$@"; do case $word in -*|*=*|install|update) ;; *) printf ' %s' "$word" ;; esac; done)
echo "$command$packages" >> calls
case $command in install)
  case " $* " in *' --no-install-recommends '*) ;; *) echo 'E: recommends'; exit 9 ;; esac
  echo "$DEBIAN_FRONTEND; $(sh root/usr/sbin/policy-rc.d; echo $?); $(cat root/etc/postgresql-common/createcluster.d/*)" >> guards ;;
esac
`;
const PUT = `for name in $packages; do
  case $name in postgresql) set -- initdb postgres ;; prometheus) set -- promtool ;; *) set -- "$name" ;; esac
  for file in "$@"; do printf '#!/bin/sh' > bin/$file; chmod 755 bin/$file; done
done
`;

/** A machine with these programs and this apt-get. `calls` has the calls of apt-get and systemctl. */
function machine(programs: readonly string[], apt?: string) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-machine-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const bin = join(folder, 'bin');
  for (const name of ['bin', 'root']) mkdirSync(join(folder, name));
  const put = (name: string, text: string): void => {
    writeFileSync(join(bin, name), text);
    chmodSync(join(bin, name), 0o755);
  };
  for (const name of programs) put(name, '#!/bin/sh\n');
  if (apt !== undefined) {
    put('apt-get', APT + apt);
    put('systemctl', '#!/bin/sh\necho "systemctl $*" >> "$(dirname "$0")/../calls"\n');
  }
  const read = (name: string): string[] =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean) : [];
  const command = (given: object): string[] => {
    const search = { path: bin, system: [], postgres: join(folder, 'postgresql') };
    const options = { search, systemRoot: join(folder, 'root'), isRoot: true, isCi: false, ...given };
    return [
      '--input-type=module',
      '--eval',
      `const { ensureServers } = await import(${JSON.stringify(script)});
       console.log(JSON.stringify(await ensureServers(${JSON.stringify(options)})));`,
    ];
  };
  return {
    folder,
    put,
    command,
    calls: () => read('calls'),
    guards: () => read('guards'),
    file: (path: string) => join(folder, 'root', path),
    ensure(given: object = {}) {
      const { stdout, stderr } = spawnSync(process.execPath, command(given), { encoding: 'utf8' });
      expect(stderr).toBe('');
      const lines = stdout.trimEnd().split('\n');
      return { missing: JSON.parse(lines.at(-1) ?? '') as string[], said: lines.slice(0, -1) };
    },
  };
}

const POLICY = 'usr/sbin/policy-rc.d';
const CLUSTER = 'etc/postgresql-common/createcluster.d';

describe('the servers of the tests', () => {
  test('that are all installed are used as they are', () => {
    const { ensure, calls } = machine(ALL, PUT);
    expect(ensure()).toEqual({
      missing: [],
      said: ['servers: Redis, PostgreSQL, PgBouncer, nginx, HAProxy, Prometheus, Chromium are installed'],
    });
    expect(calls()).toEqual([]);
  });

  test('are found where Debian puts PostgreSQL, and by the other name of Redis', () => {
    const { folder, ensure } = machine(['valkey-server', 'pgbouncer', 'nginx', 'haproxy', 'promtool', 'chromium']);
    const bin = join(folder, 'postgresql/17/bin');
    mkdirSync(bin, { recursive: true });
    for (const name of ['initdb', 'postgres']) writeFileSync(join(bin, name), '', { mode: 0o755 });
    expect(ensure().missing).toEqual([]);
  });

  test('that are missing are installed by root, and nothing of them is started', () => {
    const { ensure, calls, guards, file } = machine([], PUT);
    const { missing, said } = ensure();
    expect(missing).toEqual([]);
    expect(calls()).toEqual([
      `install ${PACKAGES}`,
      'systemctl disable redis-server postgresql pgbouncer nginx haproxy prometheus',
    ]);
    expect(guards()).toEqual(['noninteractive; 101; create_main_cluster = false']);
    for (const path of [POLICY, CLUSTER]) expect(existsSync(file(path))).toBe(false);
    expect(said[0]).toBe(
      'servers: apt-get installs redis-server, postgresql, pgbouncer, nginx, haproxy, prometheus, chromium',
    );
    expect(said[1]).toMatch(/^servers: installed redis-server, .*, chromium in [\d.]+ s$/);
  });

  test('that are there are not installed again', () => {
    const { ensure, calls } = machine(['redis-server', 'initdb', 'postgres', 'pgbouncer', 'promtool', 'chromium'], PUT);
    expect(ensure().missing).toEqual([]);
    expect(calls()).toEqual(['install nginx haproxy', 'systemctl disable nginx haproxy']);
  });

  test('make the lists of packages be read anew, once, when they were of no use', () => {
    const { ensure, calls } = machine(
      ALL.filter((name) => name !== 'haproxy'),
      `if [ "$command" = update ]; then touch lists; exit 0; fi
if [ ! -e lists ]; then echo 'E: Unable to locate package'; exit 100; fi
${PUT}`,
    );
    expect(ensure().missing).toEqual([]);
    expect(calls()).toEqual(['install haproxy', 'update', 'install haproxy', 'systemctl disable haproxy']);
  });

  test('that a release does not have do not keep the others away', () => {
    const { ensure, calls } = machine(
      ['redis-server', 'initdb', 'postgres', 'promtool', 'chromium'],
      `case $packages in *pgbouncer*) echo 'E: Unable to locate package pgbouncer' >&2; exit 100 ;; esac\n${PUT}`,
    );
    const { missing, said } = ensure();
    expect(missing).toEqual(['PgBouncer']);
    expect(calls().slice(3)).toEqual([
      'install pgbouncer',
      'install nginx',
      'install haproxy',
      'systemctl disable nginx haproxy',
    ]);
    expect(said.slice(1)).toEqual([
      expect.stringMatching(/^servers: installed nginx, haproxy in /),
      '    E: Unable to locate package pgbouncer',
      'servers: PgBouncer is not installed; as root: apt-get update && apt-get install --no-install-recommends pgbouncer',
      'servers: their tests are skipped',
    ]);
  });

  test('an existing policy that forbids services to start is kept', () => {
    const { ensure, guards, file } = machine([], PUT);
    mkdirSync(join(file(POLICY), '..'), { recursive: true });
    writeFileSync(file(POLICY), '#!/bin/sh\nexit 104\n');
    ensure();
    expect(guards()).toEqual(['noninteractive; 104; create_main_cluster = false']);
    expect(existsSync(file(POLICY))).toBe(true);
  });

  test('interrupted in the middle, nothing is left that would forbid services', async () => {
    const { command, calls, file, folder } = machine([], 'while [ ! -e interrupted ]; do sleep 0.02; done; exit 1\n');
    const child = spawn(process.execPath, command({}), { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await until(() => existsSync(file(POLICY)), { what: 'the installation to begin' });
    child.kill('SIGTERM');
    writeFileSync(join(folder, 'interrupted'), '');
    const [, signal] = (await ended) as [number | null, string | null];
    expect(signal).toBe('SIGTERM');
    expect(calls()).toEqual([`install ${PACKAGES}`]);
    expect(existsSync(file(POLICY))).toBe(false);
  });

  test('without root it is said what to install', () => {
    const { ensure, calls } = machine(
      ALL.filter((name) => name !== 'haproxy'),
      PUT,
    );
    expect(ensure({ isRoot: false })).toEqual({
      missing: ['HAProxy'],
      said: [
        'servers: HAProxy is not installed; as root: apt-get update && apt-get install --no-install-recommends haproxy',
        'servers: their tests are skipped',
      ],
    });
    expect(calls()).toEqual([]);
  });

  test('without apt-get it is said which programs are looked for; under CI their tests fail', () => {
    expect(machine(['pgbouncer', 'nginx', 'haproxy', 'promtool', 'chromium']).ensure({ isCi: true })).toEqual({
      missing: ['Redis', 'PostgreSQL'],
      said: [
        'servers: Redis, PostgreSQL are not installed; put into the PATH: redis-server or valkey-server, initdb, postgres',
        'servers: their tests fail',
      ],
    });
  });
});
