/** Rules of the store. Each of these changes takes one away, for an ablation. */
import { livingRow } from '../../src/stores/kernel/row-value.ts';
import { LEASES } from '../../src/stores/shared/instances.ts';
import {
  type FoundRecord,
  type InstanceLease,
  isEnded,
  type Ownership,
  RECORD_VERSION,
} from '../../src/stores/store.ts';
import type { MaybePromise } from '../../src/stores/store.ts';
import type { StoreChanges } from './sim-store.ts';

const unlessEnded = (found: FoundRecord): FoundRecord =>
  found !== undefined && isEnded(found) ? undefined : found;

/** Markers are kept. */
export const forgetsMarkers: StoreChanges = {
  records: (of) => ({
    claim: async (...given) => {
      const outcome = await of.claim(...given);
      return outcome.claimed ? { ...outcome, marks: [] } : outcome;
    },
  }),
};

/** Writes name the owner too, not the epoch alone. */
export const fencesByEpoch: StoreChanges = {
  records: (of, data) => {
    const unowned = <T extends Ownership>(id: string, from: T): T => {
      const stored = data.stored(id);
      return stored?.epoch === from.epoch ? { ...from, owner: stored.owner } : from;
    };
    return {
      claim: (id, from, me) => of.claim(id, unowned(id, from), me),
      save: (id, fence, change) => of.save(id, unowned(id, fence), change),
      end: (id, from, ...more) => of.end(id, 'at' in from ? from : unowned(id, from), ...more),
      append: (request) => of.append({ ...request, fence: unowned(request.id, request.fence) }),
    };
  },
};

/** Ends are values; otherwise the record is simply gone. */
export const forgetsEnds: StoreChanges = {
  records: (of, data) => ({
    create: (record, ...more) => {
      if (data.stored(record.id) === undefined) data.vanish(record.id);
      return of.create(record, ...more);
    },
    read: async (id) => unlessEnded(await of.read(id)),
    claim: async (...given) => {
      const outcome = await of.claim(...given);
      return outcome.claimed ? outcome : { claimed: false, current: unlessEnded(outcome.current) };
    },
  }),
};

/** A record that is there is not created again. */
export const createsAgain: StoreChanges = {
  records: (of, data) => ({
    create: (record, ...more) => {
      data.vanish(record.id);
      return of.create(record, ...more);
    },
  }),
};

/** A claim names the epoch and the owner that its caller read. */
export const claimsBlindly: StoreChanges = {
  records: (of, data) => ({
    claim: async (id, from, me) => {
      for (;;) {
        const stored = data.stored(id);
        const outcome = await of.claim(id, stored ?? from, me);
        if (outcome.claimed || stored === undefined) return outcome;
      }
    },
  }),
};

/** What has ended is not ended again. */
export const endsAgain: StoreChanges = {
  records: (of, data) => ({
    end: async (id, from, outcome, keepMs) => {
      const ended = await of.end(id, from, outcome, keepMs);
      const row = data.row(id);
      if (ended !== 'gone' || row === undefined || !isEnded(row.value)) return ended;
      data.put({ ...row, version: row.version + 1, value: { ...row.value, outcome } });
      return 'ended';
    },
  }),
};

/** A field that is there is not added again. */
export const addsAgain: StoreChanges = {
  records: (of, data) => ({
    add: (id, field, text) => {
      const row = data.row(id);
      if (row !== undefined && !isEnded(row.value) && field in row.value.fields) {
        const { [field]: _, ...fields } = row.value.fields;
        data.put({ ...row, version: row.version + 1, value: { ...row.value, fields } });
      }
      return of.add(id, field, text);
    },
  }),
};

/** A due time is set only by a caller that has read every `add`. */
export const missesRings: StoreChanges = {
  records: (of, data) => ({
    save: (id, fence, { due, ...change }) => {
      const seen = data.stored(id)?.rung ?? 0;
      return of.save(id, fence, due === undefined ? change : { ...change, due: { ...due, seen } });
    },
  }),
};

/** An instance without a mailbox counts as dead only when its lease is recorded as dead, in the state that was read. */
export const suspicionIsDeath: StoreChanges = {
  instances: (of, { mailboxes }) => {
    const read = (id: string): MaybePromise<InstanceLease | undefined> =>
      mailboxes.get(id)?.subscribed === true ? of.read(id) : undefined;
    const bury = async ({ id }: InstanceLease): Promise<boolean> => {
      const lease = await read(id);
      return lease !== undefined && of.bury(lease);
    };
    return {
      read,
      bury,
      // It stays without a mailbox.
      renew: async (id, state) => {
        const mailbox = mailboxes.get(id);
        const isHeard = mailbox?.subscribed;
        const renewed = await of.renew(id, state);
        if (isHeard === false) mailbox?.drop(false);
        return renewed;
      },
    };
  },
};

/** What is dead stays dead. */
export const revives: StoreChanges = {
  instances: (of, deployment) => ({
    renew: async (id, state) => {
      if (await of.renew(id, state)) return true;
      const data = deployment.of(LEASES);
      const now = data.now();
      const texts = { user: null, share: null, head: state, body: 'revived', fields: {} };
      const times = {
        createdAt: 0,
        stamp: 0,
        expiresAt: now + deployment.leaseMs,
        dueAt: null,
        rung: 0,
      };
      const record = { v: RECORD_VERSION, id, epoch: 1, owner: id, ...texts, ...times };
      data.put(livingRow(record, null));
      deployment.mailboxes.get(id)?.open();
      return true;
    },
  }),
};
