/** A row in this process, with its log and what it is charged for. */
import { entryOf } from '../../base/entry-list.ts';
import type { Row } from '../kernel/backend.ts';
import type { MemoryLog } from './memory-log.ts';
import type { Place, Placing } from './sorted-order.ts';

export class HeldRow {
  readonly id: string;
  row: Row;
  log: MemoryLog | undefined = undefined;
  /** Bytes in a bounded kind. */
  charge = 0;
  /** Its place among the ended records of its kind, oldest first. */
  readonly ended = entryOf<HeldRow>(this);

  constructor(row: Row) {
    this.id = row.id;
    this.row = row;
  }
}

/** Rows that do not wake are in no order of time. */
const NEVER = Infinity;

export const BY_ID: Placing<HeldRow> = {
  of: ({ id }): Place => [0, id],
  compare: ({ id }, [, other]) => (id < other ? -1 : id === other ? 0 : 1),
};

export const BY_WAKE: Placing<HeldRow> = {
  of: ({ id, row }): Place => [row.wakeAt ?? NEVER, id],
  compare: ({ id, row: { wakeAt } }, [time, other]) =>
    (wakeAt ?? NEVER) - time || (id < other ? -1 : id === other ? 0 : 1),
};
