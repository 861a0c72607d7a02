/** A disk whose flushes do not end while a test says so, for a process that starts with its `env`. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
// @ts-expect-error: a script without declarations
import { findProgram } from '../../scripts/servers.mjs';

const source = fileURLToPath(new URL('stalled-flush.c', import.meta.url));

/** Why no disk can stall here, or undefined. The library whose flushes wait is compiled for each test. */
export const noStalls: string | undefined =
  process.platform !== 'linux'
    ? 'needs Linux'
    : findProgram('cc') === undefined
      ? 'needs a C compiler, cc'
      : undefined;

export interface StalledDisk {
  readonly env: NodeJS.ProcessEnv;
  stall(): void;
  release(): void;
  /** The file of each flush so far, also of those that do not end. */
  flushes(): readonly string[];
}

export function stalledDisk(folder: string): StalledDisk {
  const [library, stalled, log] = ['flush.so', 'stalled', 'flushes'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl']);
  writeFileSync(log, '');
  return {
    env: { ...process.env, LD_PRELOAD: library, STALLED_FLUSHES: stalled, FLUSH_LOG: log },
    stall: () => writeFileSync(stalled, ''),
    release: () => rmSync(stalled, { force: true }),
    flushes: () => readFileSync(log, 'utf8').split('\n').slice(0, -1),
  };
}
