/**
 * What the dashboard's page gets from its server: types alone, of the functions that make the values. The requests are
 * in `docs/internals/dashboard-api.md`.
 *
 * Addresses are relative to the page, which is served at `<prefix>/`. The token is sent as `Authorization: Bearer`. A
 * POST has the header `Sojourn-Dashboard: 1`. `q` can be the header `Sojourn-Search`, percent-encoded: logs have none.
 * Every failure has the body `ApiFailure`.
 *
 * A member that is absent has no source here: the page shows `–`. Times (`at`, `since`, `…At`) are ms since 1970 by the
 * clock of the server that answers. `hash` is that of an id, as in log lines, and `ref` a sealed id: no id is sent.
 */
import type { Fleet } from './server/fleet.ts';
import type { Mounted } from './server/mounted.ts';
import type { ShownRecords } from './server/records.ts';

export type {
  HandleDetail,
  HandleRow,
  ShownSession,
  ShownTask,
  SessionDetail,
  SessionRow,
  TaskDetail,
  TaskRow,
} from './server/details.ts';
export type { ApiFailure } from './server/faces.ts';
export type { FailureFigures, RunNow } from './server/call-figures.ts';
export type { Figures } from './server/instance-figures.ts';
export type { RecentCount as ToolFigures } from './server/recent.ts';
export type { RefusalFigures, RefusedCaller } from './server/refusals.ts';

export type FleetPage = Awaited<ReturnType<Mounted['fleet']>>;
export type InstanceRow = ReturnType<Fleet['row']>;
type AnyPage = Awaited<ReturnType<ShownRecords['page']>>;
export type RecordRows<Row> = Omit<AnyPage, 'rows'> & { readonly rows: readonly Row[] };
