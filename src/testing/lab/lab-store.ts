/**
 * The store of a lab, as one of its instances sees it: durable and shared, whatever it is. Records are in the store
 * that the test has given. Leases and messages are in the lab, on its clock: so the lease of a killed instance ends
 * after `leaseMs`, on every store.
 */
import { systemTime } from '../../base/system.ts';
import { memory } from '../../stores/memory/index.ts';
import { MemoryMailboxes, type SharedMailboxes } from '../../stores/memory/mailboxes.ts';
import { Instances, LEASES, type Receive } from '../../stores/shared/instances.ts';
import type { InstanceMessage, OpenStore, Store, StoreOptions } from '../../stores/store.ts';
import type { TimeProvider } from '../../types.ts';
import type { LabProcess } from './lab-process.ts';

/** Messages are copied, as between processes. */
class LabMailboxes extends MemoryMailboxes {
  readonly #process: LabProcess;

  constructor(shared: SharedMailboxes, process: LabProcess) {
    super(shared);
    this.#process = process;
  }

  override open(id: string, receive: Receive): string {
    return super.open(id, (from, message) => void this.#process.run(() => receive(from, message)));
  }

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

  of(process: LabProcess): Store {
    const { kind } = this.#store;
    return { kind, durable: true, inProcess: false, open: (options) => this.#open(options, process) };
  }

  async #open(given: StoreOptions, process: LabProcess): Promise<OpenStore> {
    const time = this.#time;
    // Another process or a file answers late: the pauses of its store cannot wait for the lab.
    const clock = this.#store.inProcess ? time : { ...systemTime, now: () => time.now() };
    const view = await this.#store.open({ ...given, time: clock });
    this.#views.push(view);
    const leases = await this.#leases.open({ ...given, time, kinds: [LEASES] });
    this.#views.push(leases);
    const { leaseMs, logger } = given;
    const mailboxes = new LabMailboxes(this.#mailboxes, process);
    const instances = new Instances({ records: leases.records(LEASES), mailboxes, leaseMs, logger });
    return {
      records: (kind) => process.guard(view.records(kind)),
      instances: process.guard(instances),
      secret: (name, keepMs) => process.run(() => view.secret(name, keepMs)),
      full: () => view.full?.() === true,
      close: () => instances.close(),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#views.splice(0).map((view) => view.close()));
  }
}
