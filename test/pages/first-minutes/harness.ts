/**
 * What the paths of a newcomer share: the package as npm packs it, an empty folder, and the blocks of a page. A path
 * runs the words of its page. Two things differ: `npm install sojourn` takes the packed tarball, and port 3000 is a
 * free port. `npm run first-minutes` runs every path; `npm test` runs one path of each kind.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { installed } from '../../installs/installed.ts';
import { inherited, startNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/free-port.ts';
import { packed } from '../../kit/packed.ts';
import { type Block, commandsOf, nameOf } from '../../kit/pages.ts';

const QUICK_FAILURE = { npm_config_fetch_retries: '0', npm_config_fetch_timeout: '20000' };

/** Whether every path runs, or one of each kind. */
export const everyPath = process.env['SOJOURN_FIRST_MINUTES'] === 'all';

/** Of an install on a busy machine. A path takes seconds. */
const PATH_MS = 300_000;

/** Without the settings that npm hands to scripts of this repository, and without its programs. */
function environment(nodeFolder?: string): NodeJS.ProcessEnv {
  const folders = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'));
  return {
    ...inherited,
    PATH: [
      ...(nodeFolder === undefined ? [dirname(process.execPath)] : [nodeFolder]),
      ...folders,
    ].join(delimiter),
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    NEXT_TELEMETRY_DISABLED: '1',
    NO_COLOR: '1',
  };
}

const isReached = await promisify(execFile)(
  'npm',
  ['view', '@modelcontextprotocol/server', 'version'],
  {
    cwd: tmpdir(),
    env: {
      ...environment(),
      ...QUICK_FAILURE,
      npm_config_prefer_online: 'true',
      npm_config_prefer_offline: 'false',
    },
  },
).then(
  () => true,
  () => false,
);

/** A test that installs from npm's registry. Where the registry is not reached it is skipped; under CI it fails. */
export const pathTest = (title: string, walk: () => Promise<void>): void =>
  isReached || process.env['CI'] !== undefined
    ? test(title, walk, PATH_MS)
    : test.skip(`${title} (npm's registry is not reached)`, walk);

/** `npm install`, and the same with the other package managers. */
const INSTALLS = /^(?:npm (?:install|i)|npx -y (?:pnpm|yarn)@\S+ add) /;

/** A command that keeps running: the rest of the page talks to it. */
const SERVES = /\bserver?\b|\bsojourn dev\b|\bnext (?:dev|start)\b/;

/** A program that runs. What it writes to `stderr` is in its `stdout` too, as a terminal shows them. */
export type Started = ReturnType<typeof startNode>;

export interface Folder {
  path: string;
  /** The free port that is in place of 3000. */
  port: string;
  write(name: string, text: string): void;
  /** Writes a block into the file that its first line names. */
  save(block: Block): void;
  /** Runs commands one after the other and resolves with their output. Rejects when one fails. */
  run(...commands: string[]): Promise<string>;
  /**
   * Follows blocks as a reader does: saves those that name a file, runs the commands of the others, and expects the
   * output that a `console` block shows. Resolves with the servers that it started, once each has printed.
   */
  follow(blocks: readonly Block[]): Promise<Started[]>;
  /** Starts a program that keeps running. It is killed when the test ends. */
  start(command: string): Started;
}

/** Tens of thousands of files on a busy disk. */
const REMOVED_MS = 120_000;

/**
 * A new empty folder outside of the repository. `node` is the major version whose binary `test/installs/runtimes` has; without
 * it the Node of this process runs.
 */
export async function emptyFolder({ node }: { node?: 22 | 24 | 26 } = {}): Promise<Folder> {
  const path = mkdtempSync(join(tmpdir(), 'first-minutes-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }), REMOVED_MS);
  const binaries = node && join(installed('runtimes'), `node_modules/node-${node}/bin`);
  const [tarball, port] = await Promise.all([packed(), freePort().then(String)]);
  const withPort = (text: string): string => text.replaceAll(/(?<!\d)3000(?!\d)/g, port);
  const words = (command: string): string =>
    withPort(INSTALLS.test(command) ? command.replace(/(?<= )sojourn(?= |$)/, tarball) : command);

  const begin = (command: string): Started =>
    startNode(['-c', `{ ${words(command)}\n} 2>&1`], {
      program: 'sh',
      cwd: path,
      env: { ...environment(binaries), SOJOURN_PORT: port },
      isGroup: true, // its children end with it
    });

  const folder: Folder = {
    path,
    port,
    write(name, text) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), withPort(text));
    },
    save(block) {
      folder.write(nameOf(block), block.text);
    },
    async run(...commands) {
      let all = '';
      for (const command of commands) {
        const { closed, output } = begin(command);
        const [code] = await closed;
        if (code !== 0) throw new Error(`${command}\nended with ${code}:\n${output.stdout}`);
        all += output.stdout;
      }
      return all;
    },
    async follow(blocks) {
      const started: Started[] = [];
      for (const block of blocks) {
        if (!['sh', 'console'].includes(block.language)) {
          folder.save(block);
          continue;
        }
        for (const { command, prints } of commandsOf(block)) {
          if (SERVES.test(command) && !/^npm |^npx -y /.test(command)) {
            const program = folder.start(command);
            await program.says(/http:\/\/\S+/);
            started.push(program);
          } else {
            const output = await folder.run(command);
            if (prints !== undefined) expect(output.trimEnd()).toBe(withPort(prints));
          }
        }
      }
      return started;
    },
    start: (command) => begin(`exec ${command}`),
  };
  return folder;
}
