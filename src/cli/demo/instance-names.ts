/** What the demo and the programs of its instances both know. */

export const NAMES = ['one', 'two', 'three'] as const;
export type Name = (typeof NAMES)[number];

/** Windows has no `SIGSTOP`. */
export const CAN_FREEZE = process.platform !== 'win32';

/** The variable in which an instance gets its name. */
export const NAME_VARIABLE = 'SOJOURN_DEMO_INSTANCE';
