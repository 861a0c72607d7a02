/** The instances of a deployment in its store: leases, mailboxes, the bus. */
import type { MaybePromise } from '../base/types.ts';

/**
 * The lease of a live instance, as other instances see it. Callers pass on a lease unchanged, with all members that the
 * store added.
 */
export interface InstanceLease {
  readonly id: string;
  readonly state: 'serving' | 'draining';
  /** Build version, for rolling deploys. */
  readonly version: string;
  /** Which process it is, to be shown; nothing is decided by it. */
  readonly process?: InstanceProcess;
  /** The name that its server gives itself: of a factory, the first server that it has made. */
  readonly server?: string;
  /** Fingerprints of the keys whose messages it accepts; the first one signs its own. */
  readonly keys?: readonly string[];
  /** The store adds it. It changes with every renewal, so that a burial detects a renewal. */
  readonly stamp?: string;
}

/** What an instance says of its process. */
export interface InstanceProcess {
  /** The name of the machine or container. */
  readonly host: string;
  readonly pid: number;
  /** ms since 1970, by the clock of that machine. */
  readonly startedAt: number;
  /** `Node.js 22.12.0`. */
  readonly runtime: string;
  /** `sojourn serve`: it ends once it has drained. */
  readonly served?: true;
  /** The first id of the instance. Once its lease has lapsed it has another one. */
  readonly first?: string;
}

/** A message between instances; the cluster defines its meaning. In-process stores may pass objects by reference. */
export type InstanceMessage = { readonly kind: string; readonly [key: string]: unknown };

export interface InstanceStore {
  /**
   * Takes the lease of a new id and opens the mailbox. Death is final: announcing an id twice is an error. `lost` is
   * called when messages to this instance may get lost from now on (a closed connection). That lasts until a `renew`
   * that began later answers `true`. A store that detects this only during a renewal need not call it.
   */
  announce(
    lease: InstanceLease,
    receive: (from: string, message: InstanceMessage) => void,
    lost?: () => void,
  ): Promise<void>;
  /**
   * Reopens the mailbox if it was lost, then renews. `false`: the lease is gone and the id is dead forever. `server`:
   * the lease has it from now on.
   */
  renew(id: string, state: InstanceLease['state'], server?: string): Promise<boolean>;
  /**
   * The lease of a live instance. `undefined` is final: callers rely on it and do not read again. So a lease that is
   * found expired must never be renewed, not even by a renewal that is running.
   */
  read(id: string): MaybePromise<InstanceLease | undefined>;
  list(): Promise<readonly InstanceLease[]>;
  /**
   * `'suspect'`: the receiver seems not to listen. Suspicion is not death. `'sent'` is no receipt: a message to a
   * mailbox that has just closed may be lost.
   */
  send(from: string, to: string, message: InstanceMessage): MaybePromise<'sent' | 'suspect'>;
  /** Removes the lease if it still equals the given one; then that instance is dead. */
  bury(lease: InstanceLease): Promise<boolean>;
  /** Gives the lease back. */
  leave(id: string): Promise<void>;
  /** Whether an instance without a lease gave it back, to be shown. `false`: it died, or the store has forgotten it. */
  left(id: string): Promise<boolean>;
  /** To every other live instance of the deployment; at most once, without order across publishers. */
  publish(from: string, message: InstanceMessage): Promise<void>;
}
