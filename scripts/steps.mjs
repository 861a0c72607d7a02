/** Runs named steps, a few at a time, and prints one line each. The output of a failed step follows its line. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');

/** Runs a command and resolves with its exit code and its output. Never rejects. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (chunk) => (output += chunk);
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => done({ code: 127, output: `${command}: ${error.message}\n` }));
    child.on('close', (code, signal) => done({ code: code ?? 1, output: signal ? `${output}(${signal})\n` : output }));
  });
}

/** The same in `cwd`. Rejects with the output where the command failed. */
export async function runOrReject(command, args, cwd) {
  const { code, output } = await run(command, args, { cwd });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output.trimEnd()}`);
}

/** A step is `{ name, run(): Promise<{ code, output }> }`. Resolves with the names of the steps that failed. */
export async function runSteps(steps, { atOnce = Math.min(2, availableParallelism()) } = {}) {
  const failed = [];
  const waiting = [...steps];
  const width = Math.max(...steps.map(({ name }) => name.length));
  const work = async () => {
    for (let step = waiting.shift(); step; step = waiting.shift()) {
      const started = performance.now();
      const { code, output } = await step.run();
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${code === 0 ? 'ok    ' : 'FAILED'}  ${step.name.padEnd(width)}  ${seconds} s`);
      if (code === 0) continue;
      failed.push(step.name);
      console.log(output.trimEnd().replace(/^/gm, '    '));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return steps.map(({ name }) => name).filter((name) => failed.includes(name));
}
