/**
 * Rewrites the end of a log before the server forgets it by age, while it has an open stream or the mark of a running
 * call. The owner does this.
 */
import type { NatsKind } from './kind.ts';
import type { NatsRecordTable } from './record-table.ts';
import type { WriteQueues } from './write-queues.ts';
import type { LogWriter } from './log-writer.ts';

const AT_ONCE = 64;

export interface LogRefresherOptions extends NatsKind {
  readonly table: NatsRecordTable;
  readonly queues: WriteQueues;
  readonly log: LogWriter;
  /** The age at which the end of a log is rewritten. */
  readonly keepMs: number;
}

export class LogRefresher {
  readonly #options: LogRefresherOptions;

  constructor(options: LogRefresherOptions) {
    this.#options = options;
  }

  async keep(): Promise<void> {
    const { log, queues, deadlines, keepMs } = this.#options;
    const before = deadlines.now() - keepMs;
    const old: string[] = [];
    // The oldest write is first.
    for (const [id, at] of log.active) {
      if (at > before || old.length === AT_ONCE) break;
      old.push(id);
    }
    await Promise.all(old.map((id) => queues.run(id, () => this.#again(id))));
  }

  async #again(id: string): Promise<void> {
    const { table, log, owns } = this.#options;
    const cached = await table.cached(id, false);
    const { epoch, owner } = cached?.value.record ?? {};
    if (cached === undefined || epoch === undefined || typeof owner !== 'string' || !owns(owner)) log.active.delete(id);
    // If another owner has written since, the log is that owner's, or the next write looks at it.
    else if (cached.log.epoch === epoch && cached.log.owner === owner)
      await log.note(id, cached, { epoch, owner, kind: 'keep' });
  }
}
