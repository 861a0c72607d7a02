/**
 * A row in this process. It is its own row as readers find it: a put changes its members, so no reader keeps it beyond
 * its step.
 */
import type { Row } from '../kernel/backend.ts';
import type { MemoryLog } from './memory-log.ts';

export class HeldRow implements Row {
  readonly id: string;
  version = 0;
  fence: string | null = null;
  wakeAt: number | null = null;
  value: Row['value'];
  log: MemoryLog | undefined = undefined;

  /** It is in no order until it is `set`. */
  constructor({ id, value }: Row) {
    this.id = id;
    this.value = value;
  }

  set({ version, fence, wakeAt, value }: Row): void {
    this.version = version;
    this.fence = fence;
    this.wakeAt = wakeAt;
    this.value = value;
  }
}
