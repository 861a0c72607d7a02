/** What tasks are called. */
import type { TaskDetail, TaskRow } from '../../src/dashboard/wire-pages.ts';
import { span } from '../format.ts';
import { nameOf, now } from '../state/model.ts';
import type { IconName } from '../ui/icon.tsx';

/** The state that its client sees. */
export const stateOf = ({ status }: Pick<TaskRow, 'status'>): 'working' | 'input_required' =>
  status === 'input_required' ? 'input_required' : 'working';

export const STATE_ICON: Record<'working' | 'input_required' | NonNullable<TaskDetail['ended']>['status'], IconName> = {
  working: 'serving',
  input_required: 'ask',
  completed: 'done',
  failed: 'gone',
  cancelled: 'refused',
  expired: 'wait',
  unreadable: 'gone',
};

/** How it runs. An owner that is not alive holds nothing. */
export function runsText({ status, state, owner }: Partial<TaskRow>): string {
  if (status === 'orphaned') return 'owner lost';
  if (owner !== undefined) return `on ${nameOf(owner) ?? owner}`;
  return state === 'running' ? 'queued' : (state ?? '–');
}

/** The word of the filter. */
export const runsWord = (row: Pick<TaskRow, 'status' | 'state' | 'owner'>): string =>
  row.status === 'orphaned' ? 'owner-lost' : row.owner !== undefined ? 'running' : (row.state ?? '-');

export const leftText = ({ expiresAt }: Partial<TaskRow>): string => {
  if (expiresAt === undefined) return '–';
  return expiresAt === null ? 'no limit' : span(expiresAt - now.value);
};
