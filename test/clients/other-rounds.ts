/**
 * The cases, and the rounds in which every client goes through some of them at the same time. A fault happens to the
 * deployment, and so to all users of its round.
 */
import { answerCut, callCut, connecting, idleCut, largeArgument, manyAtOnce, type User } from './other-cases.ts';
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
  storeAway,
  type Happens,
  type Use,
} from './other-faults.ts';

/** By id: the head of its column. */
export const CASES = {
  connect: 'connect',
  'at-once': '100 calls at once',
  argument: '5 MiB argument',
  'idle-cut': 'GET cut 10 times',
  'call-cut': 'call cut 10 times',
  'answer-cut': '2 MiB answer cut',
  'store-3': 'store away 3 s',
  'store-10': 'store away 10 s',
  answer: 'answer, store away',
  freeze: 'frozen 5 s',
  'killed-1': 'killed, away 1 s',
  'killed-3': 'killed, away 3 s',
  'killed-6': 'killed, away 6 s',
  'in-call-1': 'in a call, away 1 s',
  'in-call-3': 'in a call, away 3 s',
  'in-call-6': 'in a call, away 6 s',
  unknown: 'session unknown',
} as const;

export type CaseId = keyof typeof CASES;

/** Cases without a common fault, one after the other: `atOnce` users at a time. */
interface Lane {
  readonly atOnce: number;
  readonly cases: Readonly<Partial<Record<CaseId, (user: User) => Promise<Seen[]>>>>;
}

export interface Round {
  readonly lanes?: readonly Lane[];
  readonly fault?: { readonly happens: Happens; readonly cases: Readonly<Partial<Record<CaseId, Use>>> };
}

/** What a client of an era cannot meet: 2026-07-28 has no session and no GET stream. */
export const meets = (era: Era, id: CaseId): boolean => era === '2025' || (id !== 'unknown' && id !== 'idle-cut');

const away = (seconds: 1 | 3 | 6): Round => ({
  fault: {
    happens: killed(seconds * 1_000),
    cases: { [`killed-${seconds}`]: callingLater, [`in-call-${seconds}`]: inCall },
  },
});

export const rounds: readonly Round[] = [
  {
    lanes: [
      { atOnce: 4, cases: { connect: connecting(200), 'at-once': manyAtOnce, argument: largeArgument } },
      { atOnce: Infinity, cases: { 'idle-cut': idleCut } },
      { atOnce: Infinity, cases: { 'call-cut': callCut } },
      { atOnce: Infinity, cases: { 'answer-cut': answerCut } },
    ],
  },
  { fault: { happens: storeAway(3_000), cases: { 'store-3': calling, answer: answering } } },
  { fault: { happens: storeAway(10_000), cases: { 'store-10': calling } } },
  { fault: { happens: frozen(5_000), cases: { freeze: calling } } },
  away(1),
  away(3),
  away(6),
  {
    fault: { happens: forgotten, cases: { unknown: lostInCall } },
  },
];
