/**
 * What the dashboard's page gets from its server: types alone, of the functions that make the values. The requests are in
 * `docs/reference/dashboard-api.md`.
 *
 * Addresses are relative to the page, which is served at `<prefix>/`. The token is sent as `Authorization: Bearer`. A
 * POST has the header `Sojourn-Dashboard: 1`. `q` can be the header `Sojourn-Search`, percent-encoded: logs have none.
 * Each GET has an `ETag`. Every failure has the body `ApiFailure`.
 *
 * A member that is absent has no source here: the page shows `–`. Times (`at`, `since`, `…At`) are ms since 1970 by the
 * clock of the server that answers. `hash` is the 12-digit hash of an id, as in log lines: raw ids are never sent.
 */
import type { sessionDetail, sessionRow, taskDetail, taskRow } from './server/details.ts';
import type { Fleet } from './server/fleet.ts';
import type { Mounted } from './server/mounted.ts';
import type { OwnFigures } from './server/own-figures.ts';
import type { ShownRecords } from './server/records.ts';

export type { InstanceState } from './server/fleet.ts';
export type { RecentCount as ToolFigures } from './server/recent.ts';
export type { RefusalFigures, RefusedCaller } from './server/refusals.ts';

export type FleetPage = Awaited<ReturnType<Mounted['fleet']>>;
export type InstanceRow = ReturnType<Fleet['row']>;
export type Figures = ReturnType<OwnFigures['read']>;
type AnyPage = Exclude<Awaited<ReturnType<ShownRecords['page']>>, string>;
export type RecordPage<Row> = Omit<AnyPage, 'rows'> & { readonly rows: readonly Row[] };
export type SessionRow = ReturnType<typeof sessionRow>;
export type SessionDetail = NonNullable<Awaited<ReturnType<typeof sessionDetail>>>;
export type LiveSession = Extract<SessionDetail, { readonly ended: undefined }>;
export type TaskRow = ReturnType<typeof taskRow>;
export type TaskDetail = NonNullable<Awaited<ReturnType<typeof taskDetail>>>;
export type LiveTask = Extract<TaskDetail, { readonly ended: undefined }>;

/** The body of each answer of 400 or more. */
export interface ApiFailure {
  /** `token`, `unknown`, `store_away`, or another word. */
  readonly error: string;
  /** A sentence for the page. */
  readonly message: string;
}
