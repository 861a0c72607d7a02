/**
 * The groups of a grouped kind. An id is `<group>.<name>`, and a group has no dot. So in byte order the ids of a group
 * lie between `<group>.` and `<group>/`, because `/` follows `.`, and no other id does.
 */
import { internal } from '../../errors.ts';
import type { Kind } from '../store.ts';

/** Visible ASCII, as in all ids: every store sorts it alike. */
const GROUP = /^[\x21-\x2d\x2f-\x7e]+$/;
const NAME = /^[\x21-\x7e]+$/;

/** The group of a new record; `undefined`: its kind has no groups. */
export function groupOf({ name: kind, grouped }: Kind, id: string): string | undefined {
  if (grouped !== true) return undefined;
  const dot = id.indexOf('.');
  if (dot < 0 || !NAME.test(id.slice(dot + 1))) throw misused(`an id of the kind ${kind} is not <group>.<name>`);
  return checkedGroup({ name: kind, grouped }, id.slice(0, dot));
}

export function checkedGroup({ name, grouped }: Pick<Kind, 'name' | 'grouped'>, group: string): string {
  if (grouped !== true) throw misused(`records of the kind ${name} have no groups`);
  if (!GROUP.test(group))
    throw misused(`a group of the kind ${name} is empty or has a dot, a blank or a letter that is not ASCII`);
  return group;
}

/** The ids of a group lie between the two. `cursor`: the id after which the page begins; `''`: the first page. */
export function rangeOf(kind: Kind, group: string, cursor = ''): readonly [after: string, before: string] {
  const first = `${checkedGroup(kind, group)}.`;
  return [cursor > first ? cursor : first, `${group}/`];
}

const misused = (what: string): Error => internal(new Error(what));
