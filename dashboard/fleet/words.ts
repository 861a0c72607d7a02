/** How states, ends and interruptions are named. */
import type { FleetInstance, StoppedInstance } from '../../src/dashboard/wire.ts';
import { fleet } from '../state/model.ts';
import type { IconName } from '../ui/icon.tsx';

export const STATE_ICON: Record<FleetInstance['state'], IconName> = {
  joining: 'joining',
  serving: 'serving',
  draining: 'draining',
  silent: 'silent',
  gone: 'gone',
};

const ENDS: Record<NonNullable<FleetInstance['end']>, string> = {
  drained: 'drained',
  left: 'left',
  lapsed: 'lapsed',
  removed: 'gone',
  killed: 'killed',
  crashed: 'crashed',
};

export const endWord = (end: FleetInstance['end']): string => (end === undefined ? 'gone' : ENDS[end]);

/** The lease of the instance may say more than the calls did. */
function endOf({ end, instance }: StoppedInstance): FleetInstance['end'] {
  return end ?? fleet.value?.instances.find(({ id }) => id === instance)?.end;
}

/** After the name of an instance: "web-2 was killed". */
export function passed(stop: StoppedInstance): string {
  const { kind } = stop;
  const end = endOf(stop);
  if (kind === 'silent') return 'did not answer';
  if (kind === 'drain') return 'was drained';
  if (end === undefined || end === 'removed') return 'went away without a drain';
  if (end === 'left' || end === 'crashed') return end;
  return end === 'lapsed' ? 'lost its lease' : `was ${ENDS[end]}`;
}

export function shortly(stop: StoppedInstance): string {
  const { kind, name } = stop;
  if (kind === 'store') return 'store away';
  const what = kind === 'silent' ? 'no answer' : kind === 'drain' ? 'drained' : endWord(endOf(stop));
  return `${name ?? 'an instance'} ${what}`;
}
