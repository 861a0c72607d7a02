/** Log messages about the lease, and about a store that is away or has lost data of the deployment. */
const DATA_LOSS_CAUSES =
  'evicted keys, FLUSHALL, TRUNCATE or a purge, a restored backup, a restart without persistence';

export const LEASE_LOST =
  'The lease of this instance is gone from the store before its end; its sessions are claimed again under a new id. ' +
  `Either the store lost data (${DATA_LOSS_CAUSES}), or another instance could not reach this one`;

export const SECRET_LOST =
  'The secret of this deployment is gone from the store, and another was made: the store lost data ' +
  `(${DATA_LOSS_CAUSES})`;

export const SESSIONS_LOST =
  'The store has lost sessions that are live here, or a part of them: their clients get 404 and must open new ones. ' +
  `Usual causes: ${DATA_LOSS_CAUSES}`;

export const LEASE_RAN_OUT =
  'The lease ran out: this instance claims its sessions again under a new id';

export const STORE_STAYS_AWAY =
  'The session store has been away for longer than maxWaitMs, and the lease has run out: requests of sessions fail until ' +
  'the store is back';
