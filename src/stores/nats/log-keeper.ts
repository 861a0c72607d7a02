/**
 * Keeps the end of a log from being forgotten by its age while it says something that is still true: a stream that is open, a
 * call that runs. The owner writes it once more, long before.
 */
import type { Bounds } from './bounds.ts';
import type { Ledger } from './ledger.ts';
import type { Lines } from './lines.ts';
import type { LogWriter } from './log-writer.ts';

const AT_ONCE = 64;

export interface LogKeeperOptions {
  readonly ledger: Ledger;
  readonly lines: Lines;
  readonly log: LogWriter;
  readonly bounds: Bounds;
  /** How old the end of a log may get. */
  readonly keepMs: number;
  /** Whether an instance is one of this process. */
  owns(instance: string): boolean;
}

export class LogKeeper {
  readonly #options: LogKeeperOptions;

  constructor(options: LogKeeperOptions) {
    this.#options = options;
  }

  async keep(): Promise<void> {
    const { log, lines, bounds, keepMs } = this.#options;
    const before = bounds.now() - keepMs;
    const old: string[] = [];
    // The one that was written longest ago comes first.
    for (const [id, at] of log.telling) {
      if (at > before || old.length === AT_ONCE) break;
      old.push(id);
    }
    await Promise.all(old.map((id) => lines.run(id, (deadline) => this.#again(id, deadline))));
  }

  async #again(id: string, deadline: number): Promise<void> {
    const { ledger, log, owns } = this.#options;
    const copy = await ledger.copy(id, deadline, false);
    const { epoch, owner } = copy?.value.record ?? {};
    if (copy === undefined || epoch === undefined || typeof owner !== 'string' || !owns(owner)) log.telling.delete(id);
    // Where another has written since, that is its own, or is looked at with the next write.
    else if (copy.log.epoch === epoch && copy.log.owner === owner)
      await log.note(id, copy, { epoch, owner, kind: 'keep' }, deadline);
  }
}
