/**
 * The store of a lab, as one of its instances sees it: durable and shared, whatever it is. Records are in the store
 * that the test has given. Leases and messages are in the lab, on its clock: so the lease of a killed instance ends
 * after `leaseMs`, on every store.
 */
import { systemTime } from '../../base/system.ts';
import { memory } from '../../stores/memory/index.ts';
import { MemoryMailboxes, type SharedMailboxes } from '../../stores/memory/mailboxes.ts';
import { Instances, LEASES } from '../../stores/shared/instances.ts';
import type { InstanceMessage, OpenStore, Store, StoreOptions } from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';
import type { InstanceOfLab } from './lab-instance.ts';

/** Passes messages as JSON, as stores between processes do. */
class LabMailboxes extends MemoryMailboxes {
  override send(from: string, to: string, message: InstanceMessage): 'sent' | 'suspect' {
    return super.send(from, to, JSON.parse(JSON.stringify(message)) as InstanceMessage);
  }
}

export class LabStore {
  readonly #store: Store;
  readonly #leases = memory();
  readonly #mailboxes: SharedMailboxes = new Map();
  /** Open until the lab closes: `memory()` forgets everything with its last view. */
  readonly #views: OpenStore[] = [];
  readonly #time: TimeProvider;

  constructor(store: Store, time: TimeProvider) {
    this.#store = store;
    this.#time = time;
  }

  of(instance: InstanceOfLab): Store {
    const { kind } = this.#store;
    return { kind, durable: true, open: (options) => this.#open(options, instance) };
  }

  async #open(given: StoreOptions, instance: InstanceOfLab): Promise<OpenStore> {
    const time = this.#time;
    // Another process or a file answers late: the pauses of its store cannot wait for the lab.
    const clock = !this.#store.durable ? time : { ...systemTime, now: () => time.now() };
    const view = await this.#store.open({ ...given, time: clock });
    this.#views.push(view);
    const leases = await this.#leases.open({ ...given, time, kinds: [LEASES] });
    this.#views.push(leases);
    const { leaseMs, logger } = given;
    const mailboxes = new LabMailboxes(this.#mailboxes);
    const instances = new Instances({
      records: leases.records(LEASES),
      mailboxes,
      leaseMs,
      logger,
    });
    return {
      records: (kind) => instance.guard(view.records(kind)),
      instances: instance.guard(instances),
      secret: (name, keepMs) => instance.run(() => view.secret(name, keepMs)),
      kept: view.kept,
      full: () => view.full?.() === true,
      close: () => instances.close(),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#views.splice(0).map((view) => view.close()));
  }
}
