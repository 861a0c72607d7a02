/** "What you see": it explains the last thing that happened, and changes only when something happens. */
import type { Stage } from './stage.ts';

const BEFORE =
  'A session is live in one instance and is kept in the store. A request that arrives elsewhere is passed on. ' +
  'Clients of 2026-07-28 have no session: any instance answers them. On the right the same clients use the ' +
  "SDK's own transport: three processes too, and each client is kept at its process.";

const KILLED =
  'kill -9 gives a process no time to hand anything over. On the left the calls that ran there wait (w) and run again ' +
  'elsewhere, because their tool allows it.';

const KEPT =
  'The counters on the left are kept in session.state, and did not start again. A session moved (>) to where its next ' +
  'request arrived.';

const FROZEN =
  'A frozen process cannot be told from a busy one: on the left its calls wait (w) until its lease has ended. What it ' +
  'writes later is refused.';

const DRAINED =
  'A drain ends the running calls and hands the sessions over; their next requests take them up elsewhere. That is what ' +
  'a deploy does.';

const AWAY =
  'No client sends a refused call again, so nothing is refused: a call waits until its instance can write to the ' +
  'store. The users of these clients notice a slow answer and no error.';

const BACK =
  'Each instance took a new lease and claimed its sessions. The calls that waited were answered, each once, with the ' +
  'number that its client expects.';

const QUIET = 'On the right no session has ended yet.';
const GONE = 'On the right the sessions were in the memory of their process: 404 ends a session for good.';

/** Every text. */
export const TEXTS: readonly string[] = [
  BEFORE,
  AWAY,
  BACK,
  ...[KILLED, KEPT, FROZEN, DRAINED].flatMap((left) => [`${left} ${QUIET}`, `${left} ${GONE}`]),
];

export function explanation({ happenings: { last }, totals, theirs }: Stage): string {
  if (last === undefined) return BEFORE;
  const right = totals(theirs).sessionsLost === 0 ? QUIET : GONE;
  switch (last.cause) {
    case 'killed':
    case 'ended':
      return `${last.continued.size < last.clients.length ? KILLED : KEPT} ${right}`;
    case 'frozen':
      return `${FROZEN} ${right}`;
    case 'drained':
      return `${DRAINED} ${right}`;
    case 'store':
      return last.until === undefined ? AWAY : BACK;
  }
}
