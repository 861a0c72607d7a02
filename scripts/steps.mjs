/** Runs other programs from the root of the repository, with the programs of its packages in PATH. */
import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');

/** Settings that npm hands to the scripts of the root are not meant for another project. */
const isOfRoot = ([name]) => /^npm_(package|lifecycle|config_local)/.test(name);

/** Runs a command and resolves with its exit code and its output. Never rejects. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  const inherited = Object.fromEntries(Object.entries(process.env).filter((one) => !isOfRoot(one)));
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...inherited, PATH: `${bin}${delimiter}${process.env.PATH}`, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (chunk) => (output += chunk);
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => done({ code: 127, output: `${command}: ${error.message}\n` }));
    child.on('close', (code, signal) =>
      done({ code: code ?? 1, output: signal ? `${output}(${signal})\n` : output }),
    );
  });
}

/** The same in `cwd`. Rejects with the output where the command failed. */
export async function runOrReject(command, args, cwd) {
  const { code, output } = await run(command, args, { cwd });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output.trimEnd()}`);
}
