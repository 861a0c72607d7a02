/** A project in a new folder, `sojourn dev` on it, and the edits of its author. */
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { dist, startCli } from './cli-process.ts';
import { isAlive } from './workers-process.ts';

const root = resolve(import.meta.dirname, '../..');
const EDIT_MS = 60_000;
const REQUEST = /\d{4}-\d\d-\d\dT\S+Z (?:POST|GET|DELETE) .*\n/g;

export interface Module {
  /** What the tool `build` answers. */
  build: string | number;
  /** Code at the top, before the server is made. */
  first?: string;
  /** Code behind the tools. */
  last?: string;
  /** In place of `export default server`. */
  exported?: string;
}

/**
 * `build` answers with the build and the calls of this session so far, `wait` when `release` is called, `exit` never.
 */
export const moduleText = ({
  build,
  first = '',
  last = '',
  exported = 'export default server;',
}: Module): string => `
import { McpServer } from '@modelcontextprotocol/server';
import { currentSession } from '${dist}/index.js';
${first}
const server = new McpServer({ name: 'edited', version: '1.0.0' });
const text = (text) => ({ content: [{ type: 'text', text: String(text) }] });
server.registerTool('build', {}, async () => {
  const calls = await currentSession()?.state.update('calls', (before = 0) => before + 1);
  return text(calls === undefined ? '${build}' : '${build} ' + calls);
});
server.registerTool('tool-${build}', {}, () => text(process.argv.slice(2)));
let release;
const released = new Promise((resolve) => (release = resolve));
server.registerTool('wait', {}, async () => (console.log('${build} waits'), await released, text('${build} waited')));
server.registerTool('exit', {}, () => process.exit(3));
process.on('SIGUSR2', () => release());
console.log('pid', process.pid);
${last}
${exported}
`;

export class Project {
  readonly path: string;

  constructor() {
    this.path = realpathSync(temporaryFolder());
    symlinkSync(join(root, 'node_modules'), join(this.path, 'node_modules'));
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(this.file(name)), { recursive: true });
    writeFileSync(this.file(name), text);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  dev(
    module: string,
    { args = [], node, cwd = '.' }: { args?: string[]; node?: string; cwd?: string } = {},
  ) {
    const cli = startCli(['dev', module, '--port', '0', ...args], {
      cwd: this.file(cwd),
      ...(node !== undefined && { node }),
    });
    const log = (): string => cli.output.stderr;
    const pids = (): number[] =>
      [...cli.output.stdout.matchAll(/^pid (\d+)$/gm)].map(([, pid]) => Number(pid));
    onTestFinished(async () => {
      cli.kill('SIGKILL');
      await until(() => pids().every(hasEnded), { timeoutMs: EDIT_MS, what: 'the workers to end' });
    });
    return {
      ...cli,
      log,
      /** The processes that loaded the module. */
      pids,
      /** Makes an edit and resolves with the log since, when it says `what`. */
      async edits(edit: () => void, what: RegExp | string = 'loaded in'): Promise<string> {
        const from = log().length;
        edit();
        // The line of a request may come in the middle of what a build says.
        const since = (): string => log().slice(from).replaceAll(REQUEST, '');
        const isSaid = (): boolean =>
          typeof what === 'string' ? since().includes(what) : what.test(since());
        await until(isSaid, { timeoutMs: EDIT_MS, what: `the log to say ${what}` }).catch(
          (cause: unknown) => {
            throw new Error(`after the edit the log said only\n${since()}`, { cause });
          },
        );
        return since();
      },
    };
  }
}

/** Also a process whose parent has not waited for it yet. */
export const hasEnded = (pid: number): boolean => !isAlive(pid);
