/** Log messages about a store that has lost data of the deployment. */
import { DATA_LOSS_CAUSES } from '../session/ownership/lost-records.ts';

export const LEASE_LOST =
  'The lease of this instance is gone from the store before its end; its sessions are claimed again under a new id. ' +
  `Either the store lost data (${DATA_LOSS_CAUSES}), or another instance could not reach this one`;

export const SECRET_LOST =
  'The secret of this deployment is gone from the store, and another was made: the store lost data ' +
  `(${DATA_LOSS_CAUSES})`;
