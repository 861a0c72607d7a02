/** Folders of `tools/`: programs that tests and benchmarks run, each with a lock file of its own. */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export type ToolFolder = 'conformance' | 'runtimes';

const installing = new Map<ToolFolder, Promise<string>>();

/**
 * The path of the folder, installed: from its lock file when it is not there yet or older than the lock file (the
 * first `npm test` of a fresh machine). Once per process; two processes must not start with the same missing folder.
 */
export function installed(folder: ToolFolder): Promise<string> {
  const running = installing.get(folder) ?? install(fileURLToPath(new URL(folder, import.meta.url)));
  installing.set(folder, running);
  return running;
}

async function install(path: string): Promise<string> {
  const [locked, there] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map((file) =>
      stat(`${path}/${file}`).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  // Nothing here needs an install script: the binaries come as platform packages.
  if (there! < locked!) await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit'], { cwd: path });
  return path;
}
