/**
 * Keeps the end of a log from being forgotten by its age while it says something that is still true: a stream that is open, a
 * call that runs. The owner writes it once more, long before.
 */
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import type { Copy } from './copies.ts';
import type { Ledger } from './ledger.ts';
import type { Lines } from './lines.ts';
import type { LogWriter } from './log-writer.ts';

const AT_ONCE = 64;

export interface LogKeeperOptions {
  readonly ledger: Ledger;
  readonly lines: Lines;
  readonly log: LogWriter;
  readonly bounds: Bounds;
  readonly clock: ServerClock;
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
    const { ledger, lines, bounds, clock, keepMs, owns } = this.#options;
    const now = await clock.now(bounds.deadline());
    const old: string[] = [];
    for (const [id, { log }] of ledger.copies.entries()) {
      const ours = log.owner !== null && owns(log.owner);
      if (ours && !log.state.idle && now - log.at > keepMs) old.push(id);
      if (old.length === AT_ONCE) break;
    }
    await Promise.all(old.map((id) => lines.run(id, (deadline) => this.#again(id, deadline))));
  }

  async #again(id: string, deadline: number): Promise<void> {
    const { ledger, log, bounds } = this.#options;
    const copy: Copy | undefined = ledger.copies.get(id, bounds.now());
    const { epoch, owner } = copy?.value.record ?? {};
    // Only where the end of the log is the owner's own: everything else is looked at with the next write.
    if (copy === undefined || epoch === undefined || copy.log.epoch !== epoch || copy.log.owner !== owner) return;
    await log.note(id, copy, { epoch, owner: copy.log.owner, kind: 'keep' }, deadline);
  }
}
