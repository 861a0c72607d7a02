import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
// @ts-expect-error: a script without declarations
import { findProgram } from '../scripts/server-programs.mjs';
// @ts-expect-error: a script without declarations
import { runOrReject } from '../scripts/steps.mjs';

/** A server that is no Node.js program: how it is built in release mode, started and named. */
export interface Program {
  readonly id: ProgramId;
  readonly path: string;
  readonly title: string;
}

export type ProgramId = 'go' | 'rust';

interface Language {
  readonly compiler: string;
  readonly build: readonly string[];
  readonly binary: string;
  title(folder: string): string;
}

const FOLDER = fileURLToPath(new URL('../tools/others/public/', import.meta.url));

const LANGUAGES: Readonly<Record<ProgramId, Language>> = {
  go: {
    compiler: 'go',
    build: ['build', '-mod=readonly', '-o', 'program', '.'],
    binary: 'program',
    title(folder) {
      const modules = readFileSync(`${folder}/go.mod`, 'utf8');
      const of = (name: string): string => new RegExp(`${name} v(\\S+)`).exec(modules)?.[1] ?? 'unknown';
      const go = execFileSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', cwd: folder }).trim().replace('go', '');
      return `Go ${go}: go-sdk ${of('/go-sdk')}, go-redis ${of('/go-redis/v9')}`;
    },
  },
  rust: {
    compiler: 'cargo',
    build: ['build', '--quiet', '--release', '--locked'],
    binary: 'target/release/public-server',
    title(folder) {
      const packages = readFileSync(`${folder}/Cargo.lock`, 'utf8');
      const of = (name: string): string =>
        new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(packages)?.[1] ?? 'unknown';
      return `Rust: rmcp ${of('rmcp')}, redis ${of('redis')}, reqwest ${of('reqwest')}`;
    },
  },
};

export const programIds = Object.keys(LANGUAGES) as readonly ProgramId[];

export const isProgramId = (text: string): text is ProgramId => Object.hasOwn(LANGUAGES, text);

/** Builds the server from its locked versions. The first build of Rust takes minutes, later ones what has changed. */
export async function buildProgram(id: ProgramId): Promise<Program> {
  const { compiler, build, binary, title } = LANGUAGES[id];
  const folder = `${FOLDER}${id}`;
  if (findProgram(compiler) === undefined) throw new Error(`--servers ${id} needs ${compiler}, which is not installed`);
  await runOrReject(compiler, build, folder);
  return { id, path: `${folder}/${binary}`, title: title(folder) };
}
