/** The view of an endpoint on a store: the kernel, leases and secrets above a backend and its mailboxes. */
import type { Deadlines } from '../shared/deadlines.ts';
import { Instances, LEASES, type Mailboxes } from '../shared/instances.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import { after } from '../shared/after.ts';
import type { KeptBytes, Kind, MaybePromise, OpenStore, Records, StoreOptions } from '../store.ts';
import type { Backend } from './backend.ts';
import { KernelRecords } from './records.ts';
import { TurnWrites, type Writes } from './turn-writes.ts';

export interface ViewParts extends Pick<OpenStore, 'full' | 'room' | 'forgetAll'> {
  readonly backend: Backend;
  /** Keeps the leases. Default: the same backend. Their writes never wait behind others, which may outlast a lease. */
  readonly ofLeases?: Backend;
  /** Default: one trip at a time. */
  newWrites?(backend: Backend): Writes;
  /** `leases`: the records whose owners are the addresses of mailboxes. */
  mailboxes(leases: Records): Mailboxes;
  /** How long a step waits for the earlier ones of its record. Absent: for ever. */
  readonly deadlines?: Deadlines;
  /** Called once, when no write is under way. */
  closed?(): MaybePromise<void>;
}

/** The kinds that an endpoint opens, and those of leases and secrets. */
export const kindsOf = ({ kinds }: Pick<StoreOptions, 'kinds'>): readonly Kind[] => [
  ...kinds,
  SECRETS,
  LEASES,
];

/**
 * A store over a `Backend`. `alone`: the kernels of a backend in this process, which all its views share
 * (`KernelParts.isAlone`).
 * @experimental
 */
export function openView(
  parts: ViewParts,
  options: StoreOptions,
  alone?: Map<string, KernelRecords>,
): OpenStore {
  const { backend, ofLeases = backend, deadlines, full, room, forgetAll } = parts;
  const { logger, random, quota } = options;
  // An owner and every instance that could claim its sessions live in one process then, so no lease expires.
  const leaseMs = alone === undefined ? options.leaseMs : null;
  const newWrites = (of: Backend): Writes => parts.newWrites?.(of) ?? new TurnWrites(of);
  const [writes, leaseWrites] = [newWrites(backend), newWrites(ofLeases)];
  const made = alone ?? new Map<string, KernelRecords>();
  for (const kind of kindsOf(options)) {
    if (made.has(kind.name)) continue;
    const own = kind === LEASES ? { backend: ofLeases, writes: leaseWrites } : { backend, writes };
    made.set(
      kind.name,
      new KernelRecords({ kind, ...own, isAlone: alone !== undefined, logger, quota, deadlines }),
    );
  }
  const records = ({ name }: Kind): KernelRecords => made.get(name) as KernelRecords;
  const leases = records(LEASES);
  const instances = new Instances({
    records: leases,
    mailboxes: parts.mailboxes(leases),
    leaseMs,
    logger,
  });
  const secrets = new Secrets(records(SECRETS), random);
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await instances.close();
    await Promise.all([...made.values()].map((one) => one.settled()));
    await parts.closed?.();
  };
  return {
    records,
    instances,
    secret: (name, keepMs) => secrets.get(name, keepMs),
    ...(full && { full }),
    ...(room && { room }),
    ...(forgetAll && { forgetAll }),
    kept: keptBytes(backend, options.kinds),
    close: () => (closed ??= close()),
  };
}

function keptBytes(backend: Backend, all: readonly Kind[]): KeptBytes {
  const kinds = all.filter(({ counted }) => counted);
  const byName = (numbers: readonly number[]): Record<string, number> =>
    Object.fromEntries(kinds.map(({ name }, n) => [name, numbers[n] ?? 0]));
  return {
    of: (share) => after(backend.kept(kinds, share), byName),
    recount: (share) =>
      after((backend.recount ?? backend.kept).call(backend, kinds, share), byName),
    byAll: (most) => backend.keptByAll(kinds, most),
  };
}
