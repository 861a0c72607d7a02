/**
 * What `npm run bench -- kills` compares: sojourn, and what people take instead, each as its README starts it. mcp-handler
 * is not among them: it keeps nothing between requests.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SERVERS = resolve(import.meta.dirname, 'servers');
const SOJOURN = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** The rivals' packages, at the newest version of the registry. */
const PACKAGES = [
  '@modelcontextprotocol/sdk',
  '@modelcontextprotocol/server',
  '@modelcontextprotocol/node',
  '@modelcontextprotocol/express',
  'express',
  'fastmcp',
  'supergateway',
  'zod',
];

export type SideStore = 'sqlite' | 'redis' | 'postgres';

/** Where one process of a side runs. */
export interface Place {
  readonly port: number;
  /** `memory:` where the side has no store. */
  readonly store: string;
  /** The rivals' packages, and the servers beside them. */
  readonly rivals: string;
}

export interface Side {
  readonly id: string;
  readonly title: string;
  /** The rival's package, for its version. */
  readonly package?: string;
  readonly processes: 1 | 2;
  readonly store?: SideStore;
  /** Its processes know a request that nginx sends to the next one. */
  readonly knowsAttempts?: boolean;
  command(place: Place): readonly string[];
}

const words = (text: string): readonly string[] => text.split(' ');

const sojourn = (id: string, title: string, store?: SideStore): Side => ({
  id,
  title: `sojourn, ${title}`,
  processes: store === undefined ? 1 : 2,
  ...(store && { store }),
  knowsAttempts: true,
  command: ({ port, store: url }) => [
    process.execPath,
    SOJOURN,
    'serve',
    join(SERVERS, 'sojourn.mjs'),
    ...words(`--workers 0 --attempt-header X-Request-Id --port ${port} --store`),
    url,
  ],
});

const rival = (id: string, title: string, name: string): Side => ({
  id,
  title,
  package: name,
  processes: 2,
  command: ({ rivals }) => [process.execPath, join(rivals, `${id}.mjs`)],
});

export const SIDES: readonly Side[] = [
  sojourn('memory', 'memory'),
  sojourn('sqlite', 'SQLite', 'sqlite'),
  sojourn('redis', 'Redis', 'redis'),
  sojourn('postgres', 'PostgreSQL', 'postgres'),
  {
    id: 'stdio',
    title: 'sojourn stdio, SQLite',
    processes: 2,
    store: 'sqlite',
    knowsAttempts: true,
    command: ({ port, store, rivals }) => [
      process.execPath,
      SOJOURN,
      ...words(
        `stdio --workers 0 --attempt-header X-Request-Id --inherit-env RUNS --port ${port} --store`,
      ),
      store,
      '--',
      process.execPath,
      join(rivals, 'stdio.mjs'),
    ],
  },
  rival('sdk2-stateful', 'SDK 2, stateful', '@modelcontextprotocol/server'),
  rival('sdk1-map', 'SDK 1, a Map', '@modelcontextprotocol/sdk'),
  rival('fastmcp', 'fastmcp', 'fastmcp'),
  {
    id: 'supergateway',
    title: 'supergateway, stateful',
    package: 'supergateway',
    processes: 1,
    command: ({ port, rivals }) => [
      process.execPath,
      join(rivals, 'node_modules/supergateway/dist/index.js'),
      '--stdio',
      `${process.execPath} ${join(rivals, 'stdio.mjs')}`,
      ...words(`--port ${port} --outputTransport streamableHttp --stateful --logLevel none`),
    ],
  },
];

/** Installs the rivals into a folder outside of this package, with their servers. Returns their versions. */
export function installRivals(folder: string): Readonly<Record<string, string>> {
  mkdirSync(folder, { recursive: true });
  const flags = words('--no-audit --no-fund --ignore-scripts --no-save --loglevel error');
  const latest = PACKAGES.map((name) => `${name}@latest`);
  execFileSync('npm', ['install', '--prefix', folder, ...flags, ...latest], { stdio: 'inherit' });
  for (const name of readdirSync(SERVERS)) copyFileSync(join(SERVERS, name), join(folder, name));
  const versions = PACKAGES.map((name): [string, string] => {
    const path = join(folder, 'node_modules', name, 'package.json');
    return [name, (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version];
  });
  return Object.fromEntries(versions);
}
