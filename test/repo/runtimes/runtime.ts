/** The runtimes of `test/installs/runtimes` and a server started on one of them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installed } from '../../installs/installed.ts';
import { startNode } from '../../kit/child-process.ts';

export interface Runtime {
  name: string;
  /** Where the platform package has the binary, most likely place first (Bun's install script moves it). */
  binaries: string[];
  args: string[];
}

const { platform, arch } = process;
const bunPlatform = `${platform}-${arch === 'arm64' ? 'aarch64' : arch}`;
const denoPlatform = `${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`;
const script = (name: string) => fileURLToPath(new URL(`${name}.mjs`, import.meta.url));

export const runtimes: Runtime[] = [
  {
    name: 'Bun',
    binaries: [`@oven/bun-${bunPlatform}/bin/bun`, 'bun/bin/bun.exe'],
    args: ['run', '--no-install', script('bun')],
  },
  {
    name: 'Deno',
    binaries: [`@deno/${denoPlatform}/deno`],
    // No lock file, no download: what is in node_modules is what there is.
    args: [
      'run',
      '--allow-all',
      '--no-lock',
      '--no-remote',
      '--node-modules-dir=manual',
      script('deno'),
    ],
  },
  { name: 'Node 22', binaries: ['node-22/bin/node'], args: [script('node')] },
  { name: 'Node 24', binaries: ['node-24/bin/node'], args: [script('node')] },
  { name: 'Node 26', binaries: ['node-26/bin/node'], args: [script('node')] },
];

/** Starts the runtime's server and resolves when it has printed its URL. */
export async function start({ name, binaries, args }: Runtime) {
  const folder = installed('runtimes');
  const binary = binaries
    .map((path) => join(folder, 'node_modules', path))
    .find((path) => existsSync(path));
  if (binary === undefined)
    throw new Error(`No binary of ${name} for ${platform} ${arch} in ${folder}`);
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' };
  const { child, closed, says } = startNode(args, { program: binary, env });
  return {
    url: await says(/^(http\S+)$/m),
    /** Asks it to close and resolves with its exit code; what it left open would keep it from ending. */
    async stop() {
      child.kill('SIGTERM');
      const [code, signal] = await closed;
      return { code, signal };
    },
  };
}
