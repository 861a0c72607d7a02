/**
 * The cases, and the rounds in which every client goes through some of them at the same time. A fault happens to the
 * deployment, and so to all users of its round.
 */
import {
  answerCut,
  callCut,
  connecting,
  idleCut,
  largeArgument,
  manyAtOnce,
  type User,
} from './other-cases.ts';
import type { Era, Seen } from './other-client.ts';
import {
  answering,
  calling,
  callingLater,
  forgotten,
  frozen,
  inCall,
  killed,
  lostInCall,
  storeUnavailable,
  type Happens,
  type Use,
} from './other-faults.ts';

type Seconds = 1 | 3 | 6;

export type CaseId =
  | 'connect'
  | 'at-once'
  | 'argument'
  | 'idle-cut'
  | 'call-cut'
  | 'answer-cut'
  | 'store-3'
  | 'store-10'
  | 'answer'
  | 'freeze'
  | `${'killed' | 'in-call'}-${Seconds}`
  | 'unknown';

/** Cases without a common fault, one after the other: `atOnce` users at a time. */
interface Lane {
  readonly atOnce: number;
  readonly cases: Readonly<Partial<Record<CaseId, (user: User) => Promise<Seen[]>>>>;
}

export interface Round {
  readonly lanes?: readonly Lane[];
  readonly fault?: {
    readonly happens: Happens;
    readonly cases: Readonly<Partial<Record<CaseId, Use>>>;
  };
}

/** What a client of an era cannot meet: 2026-07-28 has no session and no GET stream. */
export const meets = (era: Era, id: CaseId): boolean =>
  era === '2025' || (id !== 'unknown' && id !== 'idle-cut');

const away = (seconds: Seconds): Round => ({
  fault: {
    happens: killed(seconds * 1_000),
    cases: { [`killed-${seconds}`]: callingLater, [`in-call-${seconds}`]: inCall },
  },
});

export const rounds: readonly Round[] = [
  {
    lanes: [
      {
        atOnce: 4,
        cases: { connect: connecting(200), 'at-once': manyAtOnce, argument: largeArgument },
      },
      { atOnce: Infinity, cases: { 'idle-cut': idleCut } },
      { atOnce: Infinity, cases: { 'call-cut': callCut } },
      { atOnce: Infinity, cases: { 'answer-cut': answerCut } },
    ],
  },
  { fault: { happens: storeUnavailable(3_000), cases: { 'store-3': calling, answer: answering } } },
  { fault: { happens: storeUnavailable(10_000), cases: { 'store-10': calling } } },
  { fault: { happens: frozen(5_000), cases: { freeze: calling } } },
  away(1),
  away(3),
  away(6),
  {
    fault: { happens: forgotten, cases: { unknown: lostInCall } },
  },
];
