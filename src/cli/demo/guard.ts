/** The demo's side of `keeper.ts`: a folder that the keeper removes, the processes that it kills, and the lock. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KeeperOrder } from './keeper.ts';
import { killProcess } from './with-parent.ts';

export class Guard {
  readonly folder = mkdtempSync(join(tmpdir(), 'sojourn-demo-'));
  readonly #keeper: ChildProcess;
  readonly #pids = new Set<number>();
  readonly #exited: Promise<unknown>;

  /** `locked`: the store is away, or back. */
  constructor(locked: (isLocked: boolean) => void) {
    const program = fileURLToPath(new URL('./keeper.js', import.meta.url));
    this.#keeper = spawn(process.execPath, [program, this.folder], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    this.#exited = once(this.#keeper, 'exit');
    this.#keeper.on('message', (message) => locked((message as { readonly locked: boolean }).locked));
    process.on('exit', this.#lastResort);
  }

  /** The id of its process. */
  get pid(): number | undefined {
    return this.#keeper.pid;
  }

  started(pid: number): void {
    this.#pids.add(pid);
    this.#order({ started: pid });
  }

  ended(pid: number): void {
    this.#pids.delete(pid);
    this.#order({ ended: pid });
  }

  lock(file: string, ms: number): void {
    this.#order({ lock: { file, ms } });
  }

  /** Resolves when no process and no file is left. */
  async close(): Promise<void> {
    if (this.#keeper.connected) this.#keeper.disconnect();
    await this.#exited;
    this.#lastResort();
    process.off('exit', this.#lastResort);
  }

  #order(order: KeeperOrder): void {
    if (this.#keeper.connected) this.#keeper.send(order, () => {});
  }

  /** If the keeper was killed, or the demo ends without `close`. */
  readonly #lastResort = (): void => {
    for (const pid of this.#pids) killProcess(pid);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  };
}
