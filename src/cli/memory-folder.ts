/** The folder of `workersMemory`: what the workers of one supervisor share where no store is named. */
import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orUndefined } from '../base/or-undefined.ts';
import { systemTime } from '../base/system.ts';
import { Failure, reason } from './failure.ts';

/** Cleaners of temporary folders remove what has not changed for days. */
const TOUCH_MS = 3_600_000;

/** Other users cannot enter it. */
export function makeFolder(): string {
  try {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-'));
    setInterval(() => orUndefined(() => touchAll(folder)), TOUCH_MS).unref();
    return folder;
  } catch (cause) {
    throw new Failure(
      `--workers without a --store needs a folder for what the workers share: set TMPDIR (${reason(cause)})`,
      { cause },
    );
  }
}

export function removeFolder(folder: string | undefined): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}

/** For a worker that ends after its supervisor: the others have sockets there until they end too. */
export function removeAsLast(folder: string): void {
  const names = orUndefined(() => readdirSync(folder));
  if (names?.some((name) => name.endsWith('.sock')) === false) removeFolder(folder);
}

function touchAll(folder: string): void {
  const now = systemTime.now() / 1_000;
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), now, now);
}
