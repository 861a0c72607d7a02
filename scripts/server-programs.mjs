/** The servers and the browser that tests start, and where their programs are. */
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * `programs`: every entry is needed; of an entry `['a', 'b']` one is enough. `package`: in Debian and Ubuntu; its
 * service has the same name, unless `service` is false.
 */
export const SERVERS = [
  { name: 'Redis', programs: [['redis-server', 'valkey-server']], package: 'redis-server' },
  { name: 'PostgreSQL', programs: [['initdb'], ['postgres']], package: 'postgresql' },
  { name: 'PgBouncer', programs: [['pgbouncer']], package: 'pgbouncer' },
  { name: 'nginx', programs: [['nginx']], package: 'nginx' },
  { name: 'HAProxy', programs: [['haproxy']], package: 'haproxy' },
  // Its promtool tries the alert rules of examples/prometheus.
  { name: 'Prometheus', programs: [['promtool']], package: 'prometheus' },
  // No server: the browser that opens the dashboard.
  {
    name: 'Chromium',
    programs: [['chromium', 'chromium-browser', 'google-chrome-stable']],
    package: 'chromium',
    service: false,
  },
];

/** Where Debian keeps programs that are not in every PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];
const POSTGRES = '/usr/lib/postgresql';

/** The newest version first. */
function postgresFolders(folder) {
  try {
    const versions = readdirSync(folder).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(folder, version, 'bin'));
  } catch {
    return [];
  }
}

/** Every folder that is searched for programs. */
export function programFolders({ path = process.env.PATH ?? '', system = SYSTEM_FOLDERS, postgres = POSTGRES } = {}) {
  return [...path.split(delimiter).filter(Boolean), ...system, ...postgresFolders(postgres)];
}

/** The path of a program, or undefined. */
export function findProgram(name, folders = programFolders()) {
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isInstalled({ programs }, folders = programFolders()) {
  return programs.every((names) => names.some((name) => findProgram(name, folders) !== undefined));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
