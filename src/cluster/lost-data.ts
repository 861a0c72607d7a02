/** Log messages about the lease, and about a store that is away or has lost data of the deployment. */
import { DATA_LOSS_CAUSES } from '../session/ownership/lost-records.ts';

export const LEASE_LOST =
  'The lease of this instance is gone from the store before its end; its sessions are claimed again under a new id. ' +
  `Either the store lost data (${DATA_LOSS_CAUSES}), or another instance could not reach this one`;

export const SECRET_LOST =
  'The secret of this deployment is gone from the store, and another was made: the store lost data ' +
  `(${DATA_LOSS_CAUSES})`;

export const LEASE_RAN_OUT = 'The lease ran out: this instance claims its sessions again under a new id';

export const STORE_STAYS_AWAY =
  'The session store has been away for longer than waitMs, and the lease has run out: requests of sessions fail until ' +
  'the store is back';
